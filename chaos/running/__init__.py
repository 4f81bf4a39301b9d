"""A scenario put to a real cluster: run, watched, judged, recorded."""
