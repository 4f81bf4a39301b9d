"""Documents of figures, and the page that shows them.

A document is JSON: what was asked for, and tables of rows. The page holds each table between
`<!-- NAME -->` and `<!-- end -->`, and nobody types a figure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from . import byzantine, cluster, curve, loss, pauses
from .tables import Column, Row, table_of

END = "<!-- end -->"
TABLES: Mapping[str, tuple[str, Sequence[Column]]] = {
    "curve": ("curve", curve.COLUMNS),
    "loss": ("loss", loss.COLUMNS),
    "pauses": ("pauses", pauses.COLUMNS),
    "cluster": ("cluster", cluster.COLUMNS),
    "byzantine": ("byzantine", byzantine.COLUMNS),
    "lot": ("byzantine", byzantine.LOT_COLUMNS),
}
"""By name: whose document it is in, and its columns."""


class PageError(Exception):
    """The page cannot be written; the message says why. It is as it was."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One document."""

    about: Mapping[str, object]
    """What was asked for."""
    tables: Mapping[str, Sequence[Row]]

    def text(self) -> str:
        """Its tables for people."""
        return "\n\n".join(table_of(TABLES[name][1], rows) for name, rows in self.tables.items())

    def save(self, path: Path) -> None:
        """Write the document."""
        path.parent.mkdir(parents=True, exist_ok=True)
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        path.write_bytes(orjson.dumps({"about": self.about, "tables": self.tables}, option=options))


def load(path: Path) -> Figures:
    """Read a document that `Figures.save` wrote."""
    document = orjson.loads(path.read_bytes())
    return Figures(document["about"], document["tables"])


def filled(text: str, folder: Path) -> str:
    """The page with every table as the documents in `folder` have it.

    Raises:
        PageError: a table has no end, or its document is missing.
    """
    for name, (document, columns) in TABLES.items():
        begin = f"<!-- {name} -->"
        if begin not in text:
            continue
        before, _, rest = text.partition(begin)
        _, end, after = rest.partition(END)
        if not end:
            raise PageError(f"{begin} has no {END}")
        path = folder / f"{document}.json"
        if not path.exists():
            raise PageError(f"{path} is missing: take those figures first")
        rows = load(path).tables[name]
        text = f"{before}{begin}\n{table_of(columns, rows)}\n{END}{after}"
    return text


def names_in(text: str) -> Iterator[str]:
    """The tables that a page shows."""
    return (name for name in TABLES if f"<!-- {name} -->" in text)
