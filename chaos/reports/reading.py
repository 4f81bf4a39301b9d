"""An object of a JSON document, read field by field.

Rules this module keeps:

1. An error names the field by its whole path, what was found, and what should be there.
2. Fields that nobody asks for are passed over: a later writer may add some.
"""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from chaos.cli.report import Json
from chaos.verdict import Verdict

NOT_FINITE = ("nan", "inf", "-inf")
"""How numbers that JSON does not know are written."""
LIST_MAX = 1_000_000
SHOWN_MAX = 60


class UnreadableRecordError(Exception):
    """Something is no record of a run: the field, and what is wrong. Nothing was done with it."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(f"{field_name}: {message}" if field_name else message)
        self.field = field_name
        self.what = message


def read_within(file: Path, bytes_max: int) -> bytes:
    """A whole file. Raises UnreadableRecordError: it cannot be read, or is larger than that."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(bytes_max + 1)
    except OSError as error:
        raise UnreadableRecordError("", f"{file} cannot be read: {error.strerror}") from None
    if len(raw) > bytes_max:
        raise UnreadableRecordError("", f"{file} has more than {bytes_max} bytes")
    return raw


class Fields:
    """One object; `where` stands before its fields' names in errors.

    Every reader raises UnreadableRecordError.
    """

    def __init__(self, values: Mapping[str, Json], where: str = "") -> None:
        self._values = values
        self._where = where

    def wrong(self, name: str, what: str) -> UnreadableRecordError:
        """The error about one field."""
        return UnreadableRecordError(f"{self._where}{name}", what)

    def has(self, name: str) -> bool:
        """Whether it is there; an earlier writer may not have known it."""
        return name in self._values

    def text(self, name: str) -> str:
        """Some words; may be empty."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self._kind(name, value, "a text")
        return value

    def number(self, name: str) -> float:
        """A number; infinite ones and NaN are texts."""
        return self._as_number(name, self._take(name))

    def whole(self, name: str) -> int:
        """A whole number."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._kind(name, value, "a whole number")
        return value

    def is_null(self, name: str) -> bool:
        """Whether there is none of it."""
        return self._take(name) is None

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._kind(name, value, "true or false")
        return value

    def verdict(self, name: str) -> Verdict:
        """One of the verdicts."""
        word = self.text(name)
        for verdict in Verdict:
            if verdict.value == word:
                return verdict
        known = ", ".join(verdict.value for verdict in Verdict)
        raise self.wrong(name, f"{word!r} is no verdict; there are {known}")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._list(name)
        texts = tuple(one for one in values if isinstance(one, str))
        if len(texts) < len(values):
            raise self.wrong(name, "it holds something that is no text")
        return texts

    def row(self, name: str) -> tuple[float, ...]:
        """A list of numbers."""
        return tuple(self._as_number(name, one) for one in self._list(name))

    def words(self, name: str) -> dict[str, str]:
        """An object of texts."""
        value = self._object(name)
        fields = Fields(value, f"{self._where}{name}.")
        return {key: fields.text(key) for key in value}

    def numbers(self, name: str) -> dict[str, float]:
        """An object of numbers."""
        value = self._object(name)
        fields = Fields(value, f"{self._where}{name}.")
        return {key: fields.number(key) for key in value}

    def tables(self, name: str) -> list["Fields"]:
        """A list of objects."""
        found = []
        for place, one in enumerate(self._list(name)):
            where = f"{self._where}{name}[{place}]"
            if not isinstance(one, Mapping):
                raise UnreadableRecordError(where, f"{_shown(one)} is no object")
            found.append(Fields(one, f"{where}."))
        return found

    def _as_number(self, name: str, value: Json) -> float:
        if isinstance(value, str) and value in NOT_FINITE:
            return float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._kind(name, value, "a number")
        try:
            float(value)
        except OverflowError:
            raise self.wrong(name, "it is too large for a number") from None
        return value

    def _list(self, name: str) -> list[Json]:
        value = self._take(name)
        if not isinstance(value, list):
            raise self._kind(name, value, "a list")
        if len(value) > LIST_MAX:
            raise self.wrong(name, f"it has {len(value)} items; {LIST_MAX} can be")
        return value

    def _object(self, name: str) -> Mapping[str, Json]:
        value = self._take(name)
        if not isinstance(value, Mapping):
            raise self._kind(name, value, "an object")
        return value

    def _kind(self, name: str, value: Json, wanted: str) -> UnreadableRecordError:
        if value is None:
            return self.wrong(name, f"it is missing; {wanted} belongs there")
        return self.wrong(name, f"{_shown(value)} is not {wanted}")

    def _take(self, name: str) -> Json:
        return self._values.get(name)


def _shown(value: Json) -> str:
    if isinstance(value, Mapping):
        return "an object with " + (", ".join(islice(map(str, value), 3)) or "nothing")
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."
