"""What many peers of one process have in common, and what a real node uses in its place."""
