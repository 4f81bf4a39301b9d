"""`kith chaos`: real clusters put through scenarios, from the command line."""
