"""What a suite found, as a file of JSON.

    {"suite": "lookups", "about": {"clients": 16}, "measurements": […], "curves": […]}

The lists hold `Measurement.document` and `Curve.document` (see `shape`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from .shape import (
    Curve,
    Json,
    Measurement,
    ReportError,
    as_list,
    as_object,
    read_curve,
    read_measurement,
    text,
)


@dataclass(frozen=True, slots=True)
class Document:
    """One suite's."""

    suite: str
    measurements: Sequence[Measurement]
    curves: Sequence[Curve] = field(default_factory=list)
    about: Mapping[str, object] = field(default_factory=dict)
    """Sizes, rounds, versions of programs: whatever else explains the figures. Plain JSON."""

    def document(self) -> Json:
        """As JSON."""
        return {
            "suite": self.suite,
            "about": dict(self.about),
            "measurements": [one.document() for one in self.measurements],
            "curves": [one.document() for one in self.curves],
        }


def write(
    path: Path,
    suite: str,
    measurements: Sequence[Measurement],
    *,
    curves: Sequence[Curve] = (),
    about: Mapping[str, object] | None = None,
) -> None:
    """Write what a suite found.

    Raises:
        ValueError: two measurements of one name, which nobody could tell apart later.
    """
    names = [one.name for one in measurements]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{suite}: two measurements are called {twice[0]!r}")
    found = Document(suite, measurements, list(curves), about or {})
    path.write_bytes(orjson.dumps(found.document(), option=orjson.OPT_INDENT_2))


def read(path: Path) -> Document:
    """What a suite wrote.

    Raises:
        ReportError: there is no such file, or it has another shape.
    """
    return parse(load(path), str(path))


def load(path: Path) -> object:
    """The JSON of a file.

    Raises:
        ReportError: there is no such file, or it holds no JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from None


def parse(value: object, where: str) -> Document:
    """Of JSON.

    Raises:
        ReportError: it has another shape.
    """
    found = as_object(value, where)
    lists = [as_list(found.get(key, []), f"{where}.{key}") for key in ("measurements", "curves")]
    return Document(
        text(found, "suite", where),
        [read_measurement(one, f"{where}[{at}]") for at, one in enumerate(lists[0])],
        [read_curve(one, f"{where}.curves[{at}]") for at, one in enumerate(lists[1])],
        as_object(found.get("about", {}), f"{where}.about"),
    )
