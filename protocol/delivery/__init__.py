"""How our own commits reach every peer for certain, and who says that it has them."""
