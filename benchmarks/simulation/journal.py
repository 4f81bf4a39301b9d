"""What has been measured so far, a line for each trial, so that a long run can be taken up again.

Rules this module keeps:

1. A result counts only for the code that it was measured with: every line names it by a hash over
   the sources of the core, of the simulator and of these measurements, but not of what shows them.
2. A line that was torn by a crash is left out.
"""

import hashlib
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[2]
SOURCES = ("protocol", "chaos", "benchmarks/simulation")
WITHOUT = (
    "chaos/cli/", "chaos/trial/", "benchmarks/simulation/__main__.py",
    "benchmarks/simulation/drawing.py", "benchmarks/simulation/page.py",
    "benchmarks/simulation/step.py",
)  # fmt: skip
"""What only asks and shows."""


def code_hash() -> str:
    """A hash over all sources that a result may depend on."""
    state = hashlib.blake2b(digest_size=8)
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(WITHOUT):
                state.update(name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


class Journal:
    """One file of results, by trial."""

    def __init__(self, path: Path, code: str, *, any_code: bool = False) -> None:
        """Read what is there. With `any_code`, also what other code measured."""
        self.stale = 0
        """Results of other code, left out."""
        self._path = path
        self._code = code
        self._done: dict[bytes, bytes] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if any_code or document["code"] == code:
                self._done[_key(document["trial"])] = orjson.dumps(document["result"])
            else:
                self.stale += 1

    def find(self, trial: object) -> bytes | None:
        """The result of a trial as JSON, if it is there. `trial` is a dataclass."""
        return self._done.get(_key(trial))

    def add(self, trial: object, result: object) -> None:
        """Write a result down, at once."""
        line = orjson.dumps(
            {"code": self._code, "trial": trial, "result": result},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        with self._path.open("ab") as file:
            file.write(line)
        self._done[_key(trial)] = orjson.dumps(result)


def _key(trial: object) -> bytes:
    return orjson.dumps(trial, option=orjson.OPT_SORT_KEYS)
