"""Reading our own Markdown: tables, code spans, links, headings."""

import dataclasses
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.settings import Setting

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROTOCOL = DOCS / "PROTOCOL.md"
ARCHITECTURE = DOCS / "ARCHITECTURE.md"
_UNITS: dict[str, float] = {"KiB": 1024, "MiB": 1024 * 1024, "ms": 0.001, "h": 3_600}


@dataclass(frozen=True)
class Table:
    """One table: its column titles and its rows, cell by cell."""

    titles: list[str]
    rows: list[list[str]]

    def column(self, title: str) -> list[str]:
        place = self.titles.index(title)
        return [row[place] for row in self.rows]


def pages() -> list[Path]:
    """Every page of the documentation."""
    named = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return sorted([*DOCS.rglob("*.md"), *(page for page in named if page.exists())])


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    parts = page.read_text(encoding="utf-8").split("\n```")
    return "\n".join(parts[::2])


def fenced(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    blocks = page.read_text(encoding="utf-8").split("\n```")[1::2]
    return [
        block.partition("\n")[2] for block in blocks if block.partition("\n")[0].strip() == language
    ]


def tables(page: Path) -> Iterator[Table]:
    """Every table of a page."""
    lines = [*prose(page).splitlines(), ""]
    start: int | None = None
    for number, line in enumerate(lines):
        if line.startswith("|"):
            start = number if start is None else start
        elif start is not None:
            titles, _, *rows = (_cells(row) for row in lines[start:number])
            yield Table(titles, rows)
            start = None


def table(page: Path, *titles: str) -> Table:
    """The one table with exactly these titles."""
    found = [one for one in tables(page) if one.titles == list(titles)]
    assert len(found) == 1, f"{len(found)} tables in {page.name} have the titles {titles}"
    return found[0]


def spans(text: str) -> list[str]:
    """What stands between backticks."""
    return text.split("`")[1::2]


def number(text: str) -> float:
    """The number that a cell opens with, in base units: `1,166 bytes`, `64 KiB`, `5 ms`."""
    words = text.replace("≤", " ").split()
    value = float(words[0].replace(",", ""))
    return value * _UNITS.get(words[1], 1) if len(words) > 1 else value


def constant(path: str) -> object:
    """The value behind `package.module.NAME`, or the default of `package.module.Class.field`."""
    names = path.split(".")
    for split in range(len(names) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(names[:split]))
        except ModuleNotFoundError:
            continue
        for name in names[split:]:
            found = _member(found, name)
        return found.default if isinstance(found, Setting) else found
    raise AssertionError(f"{path} does not exist")


def _member(holder: object, name: str) -> object:
    if isinstance(holder, type) and dataclasses.is_dataclass(holder):
        return {field.name: field.default for field in dataclasses.fields(holder)}[name]
    return getattr(holder, name)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]
