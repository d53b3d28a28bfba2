//! What runs on a node: the session protocol and the agent that answers it.
