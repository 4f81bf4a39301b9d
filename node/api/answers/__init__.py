"""Parts of lookups' answers that are kept, so that nothing is encoded twice."""
