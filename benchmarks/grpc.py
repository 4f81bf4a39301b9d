"""etcd asked over gRPC, as its own clients ask it; `h2load` makes the load.

The messages are written here: two of them, of byte fields only. h2load sends the same one over and
over, so a put is always of one key; etcd writes it to its log each time all the same.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cluster.fleet import BenchError
from benchmarks.registrations.load import CLIENTS, GRACE_S, TIMEOUT_S

PROGRAM = "h2load"
INSTALL = "on Debian: apt-get install nghttp2-client"
RANGE, PUT = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put"
_HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")


def installed() -> bool:
    """Whether there is an h2load."""
    return shutil.which(PROGRAM) is not None


def per_s(address: str, method: str, fields: Sequence[bytes], folder: Path, seconds: int) -> float:
    """Calls of a method a second, by `CLIENTS` clients, one call each at a time.

    Args:
        address: `host:port` of etcd.
        method: `RANGE` with a key, or `PUT` with a key and a value.
        fields: what is sent each time.
        folder: for the file that h2load sends.
        seconds: of load.

    Raises:
        BenchError: it could not be measured.
    """
    body = folder / "grpc"
    body.write_bytes(message(*fields))
    command = (PROGRAM, "-t1", f"-c{CLIENTS}", "-m1", f"-D{seconds}", "-d", str(body), *_HEADERS)
    try:
        done = subprocess.run(
            (*command, f"http://{address}{method}"),
            capture_output=True,
            check=True,
            text=True,
            timeout=seconds + TIMEOUT_S + GRACE_S,
        )
    except subprocess.SubprocessError as error:
        raise BenchError(f"h2load did not measure etcd: {error}") from None
    return per_s_of(done.stdout)


def per_s_of(told: str) -> float:
    """What h2load found: `finished in 8.00s, 12345.67 req/s, 1.23MB/s`.

    Raises:
        BenchError: it told something else, or not all was answered.
    """
    lines = {line.partition(" ")[0]: line for line in told.splitlines()}
    finished, counted = lines.get("finished", ""), lines.get("requests:", "")
    words = finished.replace(",", "").split()
    if len(words) < 5 or words[4] != "req/s" or " 0 failed" not in counted:
        raise BenchError(f"h2load said {finished!r}, {counted!r}")
    return float(words[3])


def message(*fields: bytes) -> bytes:
    """A gRPC message: not compressed, its length, and these as the fields 1, 2 … of protobuf."""
    content = b"".join(
        bytes([number << 3 | 2]) + _varint(len(field)) + field
        for number, field in enumerate(fields, 1)
    )
    return b"\x00" + len(content).to_bytes(4, "big") + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the highest bit."""
    octets = []
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])
