"""Pictures of a run as inline SVG: each has a title, a description, and a table beside it."""
