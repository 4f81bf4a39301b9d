"""A delay line in the network of one node: its process, and the rules that lead packets into it.

Rules this module keeps:

1. Packets are led into the line only when it can hold them, and no more before it ends.
2. A line whose owner dies ends by itself: it loses its standard input.
"""

import json
import os
import selectors
import subprocess
from collections.abc import Mapping

from chaos.cluster.cluster import Member
from chaos.cluster.processes import ROOT, clean_environment

from .delayline import Shape, rules_in, rules_out
from .fault import FaultError
from .links import run_inside

ANSWER_S = 20.0
END_S = 10.0
_MODULE = "chaos.faults.delayline"
_SAID_BYTES_MAX = 4_096


class Line:
    """It is started when it is made, and awaited when it is first told something.

    Args:
        member: the node.
        python: that runs it.

    Raises:
        FaultError: there can be none.
    """

    def __init__(self, member: Member, *, python: str) -> None:
        self._member = member
        self._led: frozenset[str] = frozenset()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                member.inside(python, "-m", _MODULE),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=clean_environment(), cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise FaultError(f"no delay line for node {member.name}: {error}") from None
        self._said = b""
        self._is_ready = False

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def hold(self, shapes: Mapping[str, Shape]) -> None:
        """Hold back so what goes to these addresses, and nothing else. Raises FaultError."""
        if not self._is_ready:
            self._expect("ready")
            self._is_ready = True
        told = {
            address: [shape.latency_s, shape.jitter_s, shape.duplicate, shape.reorder]
            for address, shape in shapes.items()
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise FaultError(f"the delay line of node {self._member.name}: {error}") from None
        self._expect("obeyed")
        if frozenset(shapes) != self._led:
            self._lead_out()
            run_inside(
                self._member, rules_in(self._member.address, sorted(shapes)), "ip", "-batch", "-"
            )
            self._led = frozenset(shapes)

    def end(self) -> dict[str, float]:
        """Lead packets by it as ever, send what it holds, and end it; its figures.

        Raises:
            FaultError: rules are left.
        """
        try:
            self._lead_out()
        finally:
            figures = self._finish()
        return figures

    def abandon(self) -> None:
        """Kill it; what it holds is lost. For a line whose network has gone."""
        self._process.kill()
        self._process.communicate()

    def _lead_out(self) -> None:
        ours = rules_out(run_inside(self._member, "", "ip", "rule", "list"))
        if ours:
            run_inside(self._member, ours, "ip", "-batch", "-")
        self._led = frozenset()

    def _finish(self) -> dict[str, float]:
        try:
            said, _ = self._process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self.abandon()
            return {}
        lines = (self._said + said).splitlines()
        found = json.loads(lines[-1]) if lines and self._process.returncode == 0 else {}
        return {str(name): float(value) for name, value in found.items()}

    def _expect(self, word: str) -> None:
        """Wait for a line of its. Raises FaultError."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while word.encode() + b"\n" not in self._said:
                if not selector.select(ANSWER_S):
                    raise FaultError(
                        f"the delay line of node {self._member.name} is not {word} "
                        f"after {ANSWER_S:g} s"
                    )
                more = os.read(self._process.stdout.fileno(), _SAID_BYTES_MAX)
                self._said += more
                if not more:
                    raise FaultError(self._why_not())
        self._said = b""

    def _why_not(self) -> str:
        assert self._process.stderr is not None
        said = " ".join(self._process.stderr.read().decode("utf-8", "replace").split())
        return f"node {self._member.name}: {said[-_SAID_BYTES_MAX:] or 'its delay line has ended'}"
