"""Real clusters, seen from outside: networks of their own, and what is cut in them."""
