"""`python -m chaos.cluster.hostnames ADDRESS`: the name server of a cluster.

    standard input     a line a change: {"names": {name: address}, "lies": {asker: {name: answer}}}
                       an answer is an address, "" (there is no such name) or null (none at all);
                       the name "*" stands for all others
    standard output    `ready` when it answers, then after each change {asker: lies told so far}

Rules this module keeps:

1. It ends when its standard input does: with whoever started it, however that one ended.
2. What cannot be read is not answered, and harms nothing.
"""

import json
import os
import select
import socket
import sys

from .messages import MESSAGE_BYTES_MAX, answer_to, read_question

PORT = 53
EVERY_NAME = "*"
_LINE_BYTES_MAX = 1024 * 1024
_BURST = 64
"""Questions before it looks again whether it was told something."""


class Server:
    """The table, and what is said instead of it to whom."""

    def __init__(self, udp: socket.socket) -> None:
        self._udp = udp
        self._names: dict[str, str] = {}
        self._lies: dict[str, dict[str, str | None]] = {}
        self._counts: dict[str, int] = {}
        self._commands = b""

    def run(self) -> None:
        """Until standard input ends."""
        control = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([self._udp, control], [], [])
            if self._udp in ready:
                self._answer()
            if control in ready and not self._obey(os.read(control, _LINE_BYTES_MAX)):
                return

    def _answer(self) -> None:
        for _ in range(_BURST):
            try:
                message, asker = self._udp.recvfrom(MESSAGE_BYTES_MAX + 1)
            except BlockingIOError:
                return
            question = read_question(message)
            if question is None:
                continue
            said = self._said(question.name, asker[0])
            if said is not None:
                try:
                    self._udp.sendto(answer_to(question, said), asker)
                except OSError:
                    continue  # who asked has gone

    def _said(self, name: str, asker: str) -> str | None:
        lies = self._lies.get(asker, {})
        for key in (name, EVERY_NAME):
            if key in lies:
                self._counts[asker] = self._counts.get(asker, 0) + 1
                return lies[key]
        return self._names.get(name, "")

    def _obey(self, more: bytes) -> bool:
        """Take in what was said; whether there may come more."""
        self._commands += more
        *lines, self._commands = self._commands.split(b"\n")
        for line in lines:
            told = json.loads(line)
            self._names, self._lies = told["names"], told["lies"]
            print(json.dumps(self._counts), flush=True)  # noqa: T201 - who told it waits for that
        return bool(more) and len(self._commands) < _LINE_BYTES_MAX


def main(address: str) -> int:
    """Serve at that address; the exit code."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind((address, PORT))
        except OSError as error:
            print(f"{address}:{PORT} cannot be had: {error}", file=sys.stderr)  # noqa: T201
            return 1
        udp.settimeout(0)
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for that
        Server(udp).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
