"""Golden scenarios: commands and what they lead to, kept as text and read as a diff.

    # What this shows, in a sentence.
    cluster 3
    show push applied
    register n0 web web-1
    run 100ms
          0.000  n0 send push n0.2 to n1, n2
          …

A line that begins with a space is output; it is compared exactly. All others are commands (`stage`
says which there are), comments or empty. Change the protocol, rewrite the outputs, read the diff:

    python -m chaos.sim.scenario --rewrite tests/scenarios/*.txt

A scenario for a bug is a file like any other: write its commands, rewrite it, read it.

Rules this module keeps:

1. Rewriting changes nothing but outputs, and rewriting twice changes nothing.
2. A command that cannot be carried out is an error that names the line, never an output.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .stage import CommandError, Stage

OUTPUT = " "
COMMENT = "#"
_INDENT = "    "


class ScenarioError(ValueError):
    """A line of a scenario is no command that can be carried out."""

    def __init__(self, number: int, line: str, reason: str) -> None:
        super().__init__(f"line {number}, {line!r}: {reason}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Step:
    """A line that is no output."""

    number: int
    line: str

    @property
    def command(self) -> str:
        """What is to be done; empty for comments and empty lines."""
        line = self.line.strip()
        return "" if line.startswith(COMMENT) else line


def steps_of(text: str) -> list[Step]:
    """The lines of a scenario without the outputs."""
    lines = enumerate(text.splitlines(), start=1)
    return [Step(number, line.rstrip()) for number, line in lines if not line.startswith(OUTPUT)]


def play(text: str) -> str:
    """The same scenario with the outputs that it has now.

    Raises:
        ScenarioError: a command cannot be carried out.
    """
    return "".join(f"{line}\n" for line in _played(steps_of(text)))


def _played(steps: Sequence[Step]) -> Iterator[str]:
    stage = Stage()
    for step in steps:
        yield step.line
        if step.command:
            try:
                said = stage.perform(step.command)
            except CommandError as error:
                raise ScenarioError(step.number, step.line, str(error)) from None
            yield from (_INDENT + line for line in said)


def difference(kept: str, played: str, name: str) -> list[str]:
    """What changed, as a diff; empty if nothing did."""
    lines = difflib.unified_diff(
        kept.splitlines(), played.splitlines(), f"{name} (kept)", f"{name} (now)", lineterm="", n=2
    )
    return list(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the files with what happens now, or rewrite them. 1 if something differs."""
    parser = argparse.ArgumentParser(
        prog="python -m chaos.sim.scenario", description="compare golden scenarios, or rewrite them"
    )
    parser.add_argument("--rewrite", action="store_true", help="write what happens now")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    status = 0
    for path in options.files:
        kept = path.read_text(encoding="utf-8")
        try:
            played = play(kept)
        except ScenarioError as error:
            sys.stderr.write(f"{path}: {error}\n")
            return 2
        changes = difference(kept, played, str(path))
        if changes and options.rewrite:
            path.write_text(played, encoding="utf-8")
            sys.stdout.write(f"rewrote {path}\n")
        elif changes:
            status = 1
            sys.stdout.write("\n".join([*changes, ""]))
    return status


if __name__ == "__main__":
    sys.exit(main())
