"""The name server of a cluster, from the side of those who start it and bend what it says.

Rules this module keeps:

1. The server's whole table is told anew with each change, so none is forgotten.
2. Nothing of this machine is changed: a node sees files of its own where others see `/etc`.
"""

import json
import os
import selectors
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.cluster.cluster import ClusterError
from chaos.cluster.names import VARIABLE
from chaos.cluster.processes import ROOT, clean_environment

DOMAIN = "kith.test"
RESOLV_CONF, NSSWITCH_CONF = Path("/etc/resolv.conf"), Path("/etc/nsswitch.conf")
ANSWER_S = 20.0
END_S = 10.0
_MODULE = "chaos.cluster.hostnames"
_SAID_BYTES_MAX = 64 * 1024
_BIND = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
_ORDER = "passwd: files\ngroup: files\nhosts: files dns\n"
"""Files first, as everywhere; no other service of this machine that knows the world's names."""


def host_name(node: str) -> str:
    """By which a node's address is looked up."""
    return f"{node}.{DOMAIN}"


def why_not() -> str:
    """What keeps processes of this machine from a name server of their own; empty if nothing."""
    missing = [tool for tool in ("mount", "unshare") if not shutil.which(tool)]
    if missing:
        return f"no {' and no '.join(missing)}; on Debian: apt-get install mount util-linux"
    if not RESOLV_CONF.exists():
        return f"no {RESOLV_CONF}, in whose place nodes could see another; make an empty one"
    return ""


class HostNames:
    """One server for all nodes. Its methods raise ClusterError.

    Args:
        name: of the cluster.
        folder: for the files that nodes see.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._names: Mapping[str, str] = {}
        self._lies: dict[str, Mapping[str, str | None]] = {}
        self._reported: dict[str, int] = {}
        """Lies told to each that were counted already."""
        self._said = b""
        self._lock = threading.Lock()

    @property
    def resolv_conf(self) -> Path:
        """What nodes see as theirs."""
        return self._folder / RESOLV_CONF.name

    def prepare(self, address: str) -> None:
        """Write what nodes see: that the server is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.resolv_conf.write_text(f"nameserver {address}\n", "ascii")
        self.resolv_conf.chmod(0o644)
        (self._folder / NSSWITCH_CONF.name).write_text(_ORDER, "ascii")

    def serve(self, beside: Sequence[str], address: str, nodes: Mapping[str, str]) -> None:
        """Start it.

        Args:
            beside: words that run a program where all nodes reach it.
            address: of it there.
            nodes: their addresses, by name.
        """
        self._names = {host_name(node): where for node, where in nodes.items()}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [*beside, sys.executable, "-m", _MODULE, address],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**clean_environment(), VARIABLE: self._name}, cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ClusterError(f"no name server: {error}") from None
        self._line()
        self._tell()

    def wrap(self, words: Sequence[str]) -> list[str]:
        """The words that run a node which asks this server; it takes the shell's place."""
        wrapped = list(words)
        for seen in (RESOLV_CONF, NSSWITCH_CONF):
            if seen.exists():
                ours = str(self._folder / seen.name)
                wrapped = ["/bin/sh", "-c", _BIND, "sh", ours, str(seen), *wrapped]
        return ["unshare", "--mount", *wrapped]

    def bend(self, asker: str, lies: Mapping[str, str | None]) -> int:
        """Tell the node of that address this from now on, as `Member.bend_names` has it."""
        told = {host_name(name) if name != "*" else name: said for name, said in lies.items()}
        with self._lock:
            before = self._reported.get(asker, 0)
            self._lies[asker] = told
            if not told:
                del self._lies[asker]
            counts = self._tell()
            self._reported[asker] = counts.get(asker, 0)
            return self._reported[asker] - before

    def close(self) -> None:
        """End it; harmless when repeated."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def _tell(self) -> dict[str, int]:
        """Tell it all; how many lies it has told to whom."""
        if self._process is None or self._process.stdin is None:
            raise ClusterError("the name server was not started, or has ended")
        told = json.dumps({"names": dict(self._names), "lies": self._lies})
        try:
            self._process.stdin.write(told.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ClusterError(f"the name server: {error}") from None
        counts: dict[str, int] = json.loads(self._line())
        return counts

    def _line(self) -> bytes:
        """What it says next."""
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._said:
                if not selector.select(ANSWER_S):
                    raise ClusterError(f"the name server says nothing for {ANSWER_S:g} s")
                more = os.read(self._process.stdout.fileno(), _SAID_BYTES_MAX)
                self._said += more
                if not more:
                    raise ClusterError(f"no name server: {self._why()}")
        line, _, self._said = self._said.partition(b"\n")
        return line

    def _why(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode("utf-8", "replace")
        return " ".join(said.split()) or "it ended"
