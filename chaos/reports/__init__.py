"""What is told of runs: a document for programs, a page for people, a text for terminals."""
