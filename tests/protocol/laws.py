"""How hard a law is tried: 100 examples at every run, 10,000 with `KITH_TEST_LOAD=large`."""

import os

from hypothesis import settings

LARGE = os.environ.get("KITH_TEST_LOAD", "small") == "large"
EXAMPLES = 10_000 if LARGE else 100

law = settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
"""Put it on a test of a law, before `given`."""
