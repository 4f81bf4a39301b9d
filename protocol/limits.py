"""What names, records and owners may be: the exact rules, checked before anything expensive.

The HTTP edge applies the same rules through `records`, so a client and a peer hear the same.
"""

NAME_MAX = 128
NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789._-"
TAGS_MAX = 64
METADATA_MAX = 64
METADATA_VALUE_MAX = 512
"""Characters in one metadata value."""
CHECKS_MAX = 16
CAPABILITIES_MAX = 64
OUTPUT_MAX = 256
"""Characters of a check's output that are kept; longer output is cut."""
REASON_MAX = 256
URL_MAX = 1_024
HOST_MAX = 253
"""RFC 1035, section 2.3.4, in text form."""
DOCUMENT_FIELDS_MAX = 64
DOCUMENT_WRITERS_MAX = 64
"""Writers that a document's context names: all who ever wrote it."""
DOCUMENT_LIVES_MAX = 4
"""Lives of a writer that a document's context tells apart; the oldest count as one beyond it."""
DOCUMENT_OWNERS_MAX = 64
DOCUMENT_ENTRIES_MAX = 256
"""Fields with all their siblings, where writers disagree."""
JSON_DEPTH_MAX = 16
"""Arrays and objects inside one another; a fixed bound, so that no node's stack decides."""
RECORD_BYTES_MAX = 8 * 1024
RECORDS_PER_OWNER_MAX = 10_000
CHANGES_PER_COMMIT_MAX = 10_000
"""A bound for readers; our own group commits end at `GROUP_COMMIT_MAX`."""
GROUP_COMMIT_MAX = 256
MEMBERS_MAX = 10_000
NEW_OWNERS_PER_MINUTE = 600
"""Owners never heard of before, for each address that brings them."""
HEADERS_KEPT = 32
OWN_STEPS_KEPT = 256
"""Of our own branch: so many of our own commits we can show, and know what they removed."""
LIVES_MAX = 32
"""Earlier lives of a node that its record tells apart; the oldest count as one beyond it."""
DATAGRAM_MAX = 1_200
FRAME_MAX = 1024 * 1024
VERSION_MAX = 2**62 - 1
WALL_CLOCK_AHEAD_MAX_US = 60 * 1_000_000
"""How far a peer may pull our hybrid clock past our own wall clock."""
