"""Whether a -wal was damaged, or merely cut short by the crash that left it.

SQLite takes a -wal up to the first frame whose checksum is wrong, and silently drops the rest. That
is right after a crash: each of our transactions is synced before the next begins, so only the last
can be torn. It is wrong where the disk changed what was synced: then whole transactions that were
acknowledged lie behind the bad frame, and they would be lost without a word. So:

    more than one commit frame, of the newest salts, behind what SQLite takes ▶ damaged

Frames with older salts are left over from before the -wal was begun anew. What cannot be seen: a
-wal cut off exactly at the end of a transaction, which is an older state, and whole.

The format: sqlite.org/fileformat.html, section 4; sqlite.org/walformat.html, section 2.1.
"""

import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

_HEADER = struct.Struct(">8I")
"""Magic, format, page size, checkpoint sequence, two salts, two sums."""
_FRAME = struct.Struct(">6I")
"""Page number, size of the database after a commit (else 0), two salts, two sums."""
_MAGICS: Mapping[int, Literal["<", ">"]] = {0x377F0682: "<", 0x377F0683: ">"}
"""They say which byte order the sums are of."""
_PAGE_BYTES = 4096
"""Of every database that we made; asked only where the header is wrong."""
_TAKEN_AT = 16
"""Where the -shm says how many frames SQLite takes, in the machine's byte order."""


def frames_taken(shared: Path) -> int:
    """How many frames SQLite took, by the -shm that it made in reading them."""
    with shared.open("rb") as file:
        return int.from_bytes(file.read(_TAKEN_AT + 4)[_TAKEN_AT:], sys.byteorder)


def transactions_lost(wal: Path, taken: int) -> int:
    """How many whole transactions lie behind the frames that SQLite takes."""
    with wal.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return 0
        if _is_whole(header):
            _, _, page_bytes, _, *salts, _, _ = _HEADER.unpack(header)
        else:
            page_bytes, salts = _PAGE_BYTES, []
        lost = 0
        file.seek(taken * (_FRAME.size + page_bytes), os.SEEK_CUR)
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            _, commit, *its_salts, _, _ = _FRAME.unpack(frame)
            salts = salts or its_salts
            lost += commit != 0 and its_salts == salts
            file.seek(page_bytes, os.SEEK_CUR)
        return lost


def _is_whole(header: bytes) -> bool:
    magic, *_, first_sum, second_sum = _HEADER.unpack(header)
    if magic not in _MAGICS:
        return False
    words = struct.unpack(f"{_MAGICS[magic]}6I", header[:24])
    one = other = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + other) % 2**32
        other = (other + second + one) % 2**32
    return (one, other) == (first_sum, second_sum)
