"""What keeps a node from losing what it acknowledged: its disk, looked at and taken up again."""

DATABASE = "kith.db"
"""The database, in a node's data directory."""
