"""The request target: one spelling of a path, one reading of a query.

Rules this module keeps:

1. Decoding happens once. A path that would mean another one after cleaning is refused, not
   cleaned, so no guard in front of us can be shown one path and a handler another.
2. What decodes to a control character or is not UTF-8 is refused.
"""

from urllib.parse import unquote_to_bytes

from .errors import invalid_field
from .messages import EMPTY_QUERY, Query

_HEX = frozenset("0123456789abcdefABCDEF")


def parse_target(target: str, *, query_count_max: int) -> tuple[str, Query]:
    """The path and the query of a request target in ASCII.

    Accepts the origin form, the absolute form (its authority is ignored, as RFC 9112, section
    3.2.2, lets a server that hosts one site) and the asterisk.

    Raises:
        ApiError: 400 `invalid_field`, naming `path` or the query.
    """
    if target == "*":
        return "*", EMPTY_QUERY
    if not target.startswith("/"):
        target = _origin_form(target)
    if "#" in target:
        raise invalid_field("path", "a request target has no fragment; leave out '#…'")
    path, _, query = target.partition("?")
    return _parse_path(path), _parse_query(query, query_count_max) if query else EMPTY_QUERY


def _origin_form(target: str) -> str:
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise invalid_field("path", f"request target {target[:64]!r} does not start with a slash")
    authority = rest.partition("?")[0].partition("/")[0]
    remaining = rest[len(authority) :]
    return remaining if remaining.startswith("/") else "/" + remaining


def _parse_path(path: str) -> str:
    if "%" not in path and "//" not in path and "/." not in path and "\\" not in path:
        return path
    segments = [_decode(segment, "path") for segment in path[1:].split("/")]
    for position, segment in enumerate(segments):
        # An empty last segment is a trailing slash: a path of its own, which may not exist.
        if segment in (".", "..") or (not segment and position < len(segments) - 1):
            raise invalid_field("path", f"{path[:64]!r} has an empty, '.' or '..' segment")
        if "/" in segment or "\\" in segment:
            raise invalid_field("path", f"{path[:64]!r} has a slash inside a segment")
    return "/" + "/".join(segments)


def _parse_query(query: str, count_max: int) -> Query:
    if query.count("&") >= count_max:
        raise invalid_field("query", f"more than {count_max} query parameters")
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            pairs.append((_decode(name, "query"), _decode(value, "query")))
    return Query(tuple(pairs))


def _decode(text: str, field: str) -> str:
    if "%" not in text:
        return text
    for part in text.split("%")[1:]:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            raise invalid_field(field, f"{text[:64]!r}: '%' needs two hexadecimal digits after it")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise invalid_field(field, f"{text[:64]!r} is not UTF-8") from None
    if any(character < " " or character == "\x7f" for character in decoded):
        raise invalid_field(field, f"{text[:64]!r} holds a control character")
    return decoded
