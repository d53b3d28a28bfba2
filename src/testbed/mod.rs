//! Where nodes live: the lab of network namespaces.
