"""What a repair costs: two nodes that differ in little, and one that starts with nothing."""
