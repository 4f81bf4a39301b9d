"""One JSON object, read field by field.

Rules this module keeps:

1. A field that nobody reads is refused, with the known ones: a typing error must not be ignored.
2. `null` is the same as absent, except where a merge gives it a meaning of its own.
3. A wrong type is named with the field's full place, such as `checks[0].interval`.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from node.durations import DurationError, parse_ms
from node.http import ApiError, invalid_field

_SHOWN_MAX = 60
INTEGER_MAX = 2**63 - 1


class Fields:
    """The members of one JSON object.

    Args:
        values: The object.
        known: Every field that it may have, in the order in which people are told of them.
        place: What stands before the names of its fields in messages, such as `checks[0].`.

    Raises:
        ApiError: 400 `invalid_field`, naming an unknown field and the known ones.
    """

    def __init__(
        self, values: Mapping[str, object], known: Collection[str], *, place: str = ""
    ) -> None:
        self._values = values
        self._place = place
        for name in values:
            if name not in known:
                self._refuse_unknown(name, known)

    def place_of(self, name: str) -> str:
        """The full name of a field."""
        return f"{self._place}{name}"

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def is_null(self, name: str) -> bool:
        """Whether the field is there and null."""
        return name in self._values and self._values[name] is None

    def raw(self, name: str) -> object:
        """The value as it came, or None."""
        return self._values.get(name)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self.refuse(name, f"{_shown(value)} is no string")
        return value

    def required_text(self, name: str) -> str:
        """A string that must be there and not empty."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value:
            self.require(name)
            self.text(name)
            self.refuse(name, "must not be empty")
        return value

    def require(self, name: str) -> None:
        """Refuse if the field is absent."""
        if self._values.get(name) is None:
            self.refuse(name, "is missing")

    def integer(self, name: str, default: int) -> int:
        """A whole number; its range is judged by the rules of the record."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
            self.refuse(name, f"{_shown(value)} is no whole number")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(name, f"{_shown(value)} is neither true nor false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.refuse(name, f"{_shown(value)} is no list of strings")
        for number, item in enumerate(value):
            if not isinstance(item, str):
                self.refuse(f"{name}[{number}]", f"{_shown(item)} is no string")
        return tuple(value)

    def mapping(self, name: str) -> dict[str, object]:
        """An object, empty if absent."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(name, f"{_shown(value)} is no object")
        return value

    def objects(self, name: str) -> list[dict[str, object]]:
        """A list of objects."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(name, f"{_shown(value)} is no list of objects")
        found: list[dict[str, object]] = []
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                self.refuse(f"{name}[{number}]", f"{_shown(item)} is no object")
            found.append(item)
        return found

    def pairs(self, name: str) -> dict[str, str]:
        """An object of strings."""
        found: dict[str, str] = {}
        for key, value in self.mapping(name).items():
            if not isinstance(value, str):
                self.refuse(f"{name}.{key[:_SHOWN_MAX]}", f"{_shown(value)} is no string")
            found[key] = value
        return found

    def duration_ms(self, name: str, default: int) -> int:
        """A duration such as "5s", in milliseconds."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self.refuse(name, f'{_shown(value)} is no duration; write a string such as "5s"')
        try:
            return parse_ms(value)
        except DurationError as error:
            self.refuse(name, f"{_shown(value)}: {error}")

    def choice(self, name: str, choices: Sequence[str], default: str | None) -> str:
        """One of several words."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in choices:
            given = "is missing" if value is None else f"{_shown(value)} is unknown"
            self.refuse(name, f"{given}; use one of {', '.join(choices)}")
        return value

    def refuse(self, name: str, message: str) -> NoReturn:
        """Refuse a field.

        Raises:
            ApiError: 400 `invalid_field`.
        """
        raise refused(self.place_of(name), message)

    def _refuse_unknown(self, name: str, known: Collection[str]) -> NoReturn:
        near = difflib.get_close_matches(name[:_SHOWN_MAX], known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        self.refuse(name[:_SHOWN_MAX], f"is not a field; {hint}known are {', '.join(known)}")


def refused(place: str, message: str) -> ApiError:
    """400 `invalid_field`, its message beginning with the field."""
    return invalid_field(place, f"{place}: {message}")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float) else type(value).__name__
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."
