"""What many runs tell together: a ramp that was climbed, and how far single failures reached."""
