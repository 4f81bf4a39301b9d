"""What the library does, and what nodes say to it."""
