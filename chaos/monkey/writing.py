"""A scenario's document as TOML: tables of plain values, one field a line.

Rules this module keeps:

1. What is written is read back the same by `tomllib`.
"""

import json
from collections.abc import Mapping

from chaos.faults.fault import Value


def text_of(document: Mapping[str, Value]) -> str:
    """The text. Plain fields stand first, then tables, then lists of tables."""
    plain = {key: value for key, value in document.items() if not _is_table(value)}
    parts = ["\n".join(_fields(plain))]
    for key, value in document.items():
        if isinstance(value, dict):
            parts.append("\n".join([f"[{_key(key)}]", *_fields(value)]))
        elif _is_table(value) and isinstance(value, list):
            parts += [
                "\n".join([f"[[{_key(key)}]]", *_fields(one)])
                for one in value
                if isinstance(one, dict)
            ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _is_table(value: Value) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, dict) for one in value)
    return isinstance(value, dict)


def _fields(table: Mapping[str, Value]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _quoted(key)


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(_fields(value)) + " }" if value else "{}"
    return repr(value)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for the one character that TOML also wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
