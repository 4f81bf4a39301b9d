"""Is what runs in this container alive? Exit code 0 if it answers with 200, else 1.

For Docker's HEALTHCHECK, which runs it every few seconds in every container. Hence a plain socket
and nothing imported beyond it: run with `-I -S` it takes a fraction of the time of an HTTP library.

    healthcheck.py                  the node, `/healthz` where KITH_HTTP says it listens
    healthcheck.py 8000 /health     another service in the same image
"""

import os
import socket
import sys
from collections.abc import Sequence

TIMEOUT_S = 2.0
STATUS_LINE_MAX = 64
ANYWHERE = ("0.0.0.0", "[::]", "::", "")  # noqa: S104 - where a node may listen
LISTEN_DEFAULT = "0.0.0.0:8400"


def main(argv: Sequence[str]) -> int:
    """Ask once."""
    listens = os.environ.get("KITH_HTTP", LISTEN_DEFAULT)
    given, path = (argv[0], argv[1]) if len(argv) == 2 else (listens, "/healthz")
    host, _, port = given.rpartition(":")
    where = ("127.0.0.1" if host in ANYWHERE else host.strip("[]"), int(port))
    request = f"GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(where, TIMEOUT_S) as connection:
            connection.sendall(request.encode("ascii"))
            answer = connection.recv(STATUS_LINE_MAX)
    except OSError as error:
        print(f"no answer from {where[0]}:{where[1]}: {error}")
        return 1
    status_line = answer.partition(b"\r\n")[0]
    print(status_line.decode("latin-1"))
    return 0 if status_line.split(b" ")[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
