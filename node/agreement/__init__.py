"""What this node makes of statements that meet: guests' hosts, writers of documents, seeds."""
