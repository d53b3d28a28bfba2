//! The kernel configuration protocol: sockets, batches with checked acknowledgements, links, addresses and neighbours.
