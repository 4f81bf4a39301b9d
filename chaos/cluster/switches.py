"""Files of a few bytes that a library in a node has mapped and looks at.

Rules this module keeps:

1. They are written in place, in one piece: a new file would not be the one that the node looks at.
"""

import os
from pathlib import Path

from .cluster import ClusterError


def write_in_place(file: Path, content: bytes, what: str) -> None:
    """Put these bytes at its beginning. Raises ClusterError that says `what` cannot be set."""
    try:
        opened = os.open(file, os.O_WRONLY)
        try:
            os.pwrite(opened, content, 0)
        finally:
            os.close(opened)
    except OSError as error:
        raise ClusterError(f"{what} cannot be set: {error}") from None
