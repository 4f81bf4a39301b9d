"""HTML and SVG, built from elements: text is escaped because there is no other way to put it in.

Rules this module keeps:

1. A plain `str` is text and is escaped; only what `element` and `join` made is markup.
2. Attributes are escaped, too; links lead to files beside the page, or nowhere.
"""

import html
from collections.abc import Iterable, Sequence
from urllib.parse import quote

_VOID = ("br", "meta", "rect", "line", "path", "circle", "polyline", "link")
TEXT_MAX = 4_000
"""Characters of a text that came from elsewhere; the rest is cut off."""


class Markup(str):
    """Markup that was built here; not escaped again."""

    __slots__ = ()


Part = Markup | str
Attributes = dict[str, str | float]


def element(name: str, attributes: Attributes | None = None, *parts: Part) -> Markup:
    """One element. Numbers in attributes are written with at most two decimals."""
    words = "".join(
        f' {key}="{html.escape(_attribute(value), quote=True)}"'
        for key, value in (attributes or {}).items()
        if value != ""
    )
    if name in _VOID and not parts:
        return Markup(f"<{name}{words}/>")
    return Markup(f"<{name}{words}>{join(parts)}</{name}>")


def join(parts: Iterable[Part], between: str = "") -> Markup:
    """Parts one after another."""
    return Markup(html.escape(between, quote=False).join(_escaped(part) for part in parts))


def clean(text: str) -> str:
    """Text without what no HTML document may hold, and not longer than `TEXT_MAX`."""
    kept = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return kept if len(kept) <= TEXT_MAX else kept[:TEXT_MAX] + " …"


def link(target: str, *parts: Part) -> Markup:
    """A link to a file beside the page or below; without one, if the target is anything else."""
    if not is_beside(target):
        return element("span", {}, *parts)
    return element("a", {"href": quote(target, safe="/")}, *parts)


def is_beside(target: str) -> bool:
    """Whether it is the path of a file that lies beside the page, or below."""
    steps = target.split("/")
    return bool(target) and not any(step in ("", "..") for step in steps) and ":" not in steps[0]


def table(
    headings: Sequence[Part], rows: Iterable[Sequence[Part]], *, numbers: Sequence[int] = (),
    caption: str = "",
) -> Markup:  # fmt: skip
    """A table. `numbers`: which columns are aligned to the right."""
    kinds = ["n" if place in numbers else "" for place in range(len(headings))]
    head = [
        element("th", {"scope": "col", "class": kind}, text)
        for kind, text in zip(kinds, headings, strict=True)
    ]
    body = [
        element(
            "tr",
            {},
            *(
                element("td", {"class": kind, "data-label": _label(heading)}, cell)
                for kind, heading, cell in zip(kinds, headings, row, strict=True)
            ),
        )
        for row in rows
    ]
    parts = [element("thead", {}, element("tr", {}, *head)), element("tbody", {}, *body)]
    if caption:
        parts.insert(0, element("caption", {}, caption))
    return element("div", {"class": "scroll"}, element("table", {}, *parts))


def _label(heading: Part) -> str:
    return "" if isinstance(heading, Markup) else heading


def _escaped(part: Part) -> str:
    return part if isinstance(part, Markup) else html.escape(clean(part), quote=False)


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return clean(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
