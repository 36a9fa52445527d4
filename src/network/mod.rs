//! Connections to peers: frames, handshake, queues, addresses, limits. Knows peers, not consensus.
