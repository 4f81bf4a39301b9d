"""The peer's process: `memberlist.go`, built against Debian's package of the library.

Rules this module keeps:

1. It is built in a folder that is removed, and not at all where Go or the library is missing.
"""

import json
import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from benchmarks.report import machine

SOURCE = Path(__file__).with_name("memberlist.go")
LIBRARY = Path("/usr/share/gocode/src/github.com/hashicorp/memberlist")
PACKAGES = "golang-go golang-github-hashicorp-memberlist-dev"
BUILD_WITHIN_S = 300.0
JOIN_WITHIN_S = 130.0
UPDATE_WITHIN_S = 20.0
END_WITHIN_S = 5.0


class MemberlistError(Exception):
    """It cannot be measured; the message says why."""


def lacking() -> str:
    """Why there is nothing to compare with; empty if there is."""
    if shutil.which("go") is None or not LIBRARY.is_dir():
        return f"Go or its memberlist is not installed; on Debian: apt-get install {PACKAGES}"
    return ""


def version() -> str:
    """Of Debian's package."""
    return machine.package(PACKAGES.split()[1])


def build(folder: Path) -> Path:
    """The program, made in that folder.

    Raises:
        MemberlistError: it cannot be built.
    """
    made = folder / "memberlist"
    told = {
        **os.environ,
        "GOCACHE": str(folder / "cache"),
        "GOPATH": str(LIBRARY.parents[3]),
        "GO111MODULE": "off",
        "GOFLAGS": "",
    }
    try:
        subprocess.run(
            ["go", "build", "-o", str(made), str(SOURCE)],
            capture_output=True, text=True, check=True, timeout=BUILD_WITHIN_S, env=told,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise MemberlistError(f"it cannot be built: {error.stderr.strip()[-300:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MemberlistError(f"it cannot be built: {error}") from None
    return made


class Members:
    """The process; a context manager that ends it."""

    def __init__(
        self, program: Path, *, nodes: int, first_port: int, updates: int, pause_ms: int
    ) -> None:
        numbers = map(str, (nodes, first_port, updates, pause_ms))
        self._command = [str(program), *numbers]
        self._updates = updates
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        child = self._running()
        with suppress(OSError):
            assert child.stdin is not None
            child.stdin.close()
        try:
            child.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        assert child.stdout is not None
        child.stdout.close()

    def wait_joined(self) -> None:
        """Wait until all see all.

        Raises:
            MemberlistError: not in time.
        """
        if self._line(JOIN_WITHIN_S) != "ready":
            raise MemberlistError("its members do not all see all")

    def update(self) -> list[list[float]]:
        """Make all updates; of each, ms until each of the others that got it had it.

        Raises:
            MemberlistError: it ended.
        """
        child = self._running()
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        found: list[list[float]] = []
        while (line := self._line(UPDATE_WITHIN_S)) != "done":
            if not line:
                raise MemberlistError(f"it ended after {len(found)} of {self._updates} updates")
            found.append([float(one) for one in json.loads(line)])
        return found

    def _line(self, within_s: float) -> str:
        """The next line that it prints; empty if it ended, or was ended for saying nothing."""
        child = self._running()
        assert child.stdout is not None
        impatience = threading.Timer(within_s, child.kill)
        impatience.start()
        try:
            return child.stdout.readline().strip()
        finally:
            impatience.cancel()

    def _running(self) -> subprocess.Popen[str]:
        assert self._child is not None
        return self._child
