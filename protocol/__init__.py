"""The gossip protocol as pure values and machines: bytes and time in, effects out."""
