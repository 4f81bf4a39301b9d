"""What nodes ask each other over streams: joins, repair, fetches, checks, and the answers."""
