"""Side-by-side measurements. Timings live here, never in a test."""
