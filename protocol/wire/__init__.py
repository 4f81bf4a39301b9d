"""What goes over the wire: canonical bytes, datagrams, stream frames and the handshake."""
