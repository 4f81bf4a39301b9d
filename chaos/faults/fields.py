"""A table of a scenario's file, read field by field; what is wrong is said with the remedy.

Rules this module keeps:

1. A field that nobody asked for is refused at the end, with the one that was probably meant.
2. Every number has bounds, every list a longest length.
"""

import difflib
import math

from chaos.cli.durations import parse_s

from .fault import Table, UnreadableFaultError, Value

TEXT_MAX = 4_000
LIST_MAX = 64


class Fields:
    """One table; `where` stands before its fields' names in errors.

    Every reader raises UnreadableFaultError.
    """

    def __init__(self, table: Table, where: str = "") -> None:
        self._table = table
        self._asked: list[str] = []
        self.where = where

    def wrong(self, name: str, what: str) -> UnreadableFaultError:
        """The error about one field."""
        return UnreadableFaultError(f"{self.where}: {name}" if self.where else name, what)

    def has(self, name: str) -> bool:
        """Whether it is given."""
        return self._take(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """Some words; without a default they must be given."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value.strip() or len(value) > TEXT_MAX:
            raise self.wrong(name, f"{_shown(value)} is no text of 1 to {TEXT_MAX} characters")
        return value.strip()

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number within bounds."""
        value = self._take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, f"{_shown(value)} is no number; {low:g} to {high:g} can be")
        if not math.isfinite(value) or not low <= value <= high:
            raise self.wrong(name, f"{value} is out of bounds; {low:g} to {high:g} can be")
        return float(value)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """An integer within bounds."""
        value = self.number(name, default, low, high)
        if value != int(value):
            raise self.wrong(name, f"{value} is not whole")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, f"{_shown(value)} is neither true nor false")
        return value

    def seconds(self, name: str, default: float | None, high: float) -> float:
        """A duration such as `"5s"`; without a default it must be given."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        try:
            seconds = parse_s(value if isinstance(value, str) else "")
        except ValueError as error:
            raise self.wrong(name, f"{_shown(value)} is no duration: {error}") from None
        if seconds > high:
            raise self.wrong(name, f"{value} is longer than the {high:g} s that can be")
        return seconds

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of words."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, list) or len(value) > LIST_MAX:
            raise self.wrong(name, f"{_shown(value)} is no list of at most {LIST_MAX} texts")
        words = tuple(one for one in value if isinstance(one, str))
        if len(words) < len(value):
            raise self.wrong(name, f"{_shown(value)} holds something that is no text")
        return words

    def nodes(
        self, name: str, known: tuple[str, ...], default: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """Names of nodes, each once; without a default at least one must be given."""
        named = self.texts(name, default)
        self._check_nodes(name, named, known)
        if not named:
            raise self.wrong(name, f"name at least one node; there are {', '.join(known)}")
        return named

    def groups(self, name: str, known: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Lists of nodes, no node in two; empty if it is not given."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not 2 <= len(value) <= LIST_MAX:
            raise self.wrong(name, 'write two groups or more: [["a", "b"], ["c"]]')
        groups = tuple(Fields({name: group}, self.where).nodes(name, known) for group in value)
        self._check_nodes(name, tuple(node for group in groups for node in group), known)
        return groups

    def _check_nodes(self, name: str, named: tuple[str, ...], known: tuple[str, ...]) -> None:
        for node in named:
            if node not in known:
                raise self.wrong(name, f"{node!r} is no node; there are {', '.join(known)}")
            if named.count(node) > 1:
                raise self.wrong(name, f"{node} is there twice")

    def table(self, name: str) -> Table:
        """A table in the table; empty if it is not given."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(name, f"{_shown(value)} is no table")
        return value

    def tables(self, name: str, most: int) -> tuple[Table, ...]:
        """A list of tables, `[[name]]`."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(name, f"write at most {most} tables, each under [[{name}]]")
        tables = tuple(one for one in value if isinstance(one, dict))
        if len(tables) < len(value):
            raise self.wrong(name, f"write each under [[{name}]]")
        return tables

    def rest(self) -> Table:
        """Whatever was not asked for; then nothing is left."""
        left = {name: value for name, value in self._table.items() if name not in self._asked}
        self._asked += left
        return left

    def end(self) -> None:
        """Refuse what is left."""
        for name in self._table:
            if name not in self._asked:
                near = difflib.get_close_matches(name, self._asked, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self._asked)}"
                raise self.wrong(name, f"there is no such field; {hint}")

    def _take(self, name: str) -> Value | None:
        if name not in self._asked:
            self._asked.append(name)
        return self._table.get(name)


def _shown(value: object) -> str:
    if value is None:
        return "it is missing, and nothing"
    text = repr(value)
    return text if len(text) <= 64 else text[:61] + "..."
