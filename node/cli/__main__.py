"""`python -m node.cli` is the `kith` command."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
