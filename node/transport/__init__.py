"""How bytes leave and enter a node: datagrams and kept streams."""
