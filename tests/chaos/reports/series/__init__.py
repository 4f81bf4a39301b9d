"""What climbs and blasts tell."""
