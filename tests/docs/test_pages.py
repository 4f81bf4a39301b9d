"""All pages: links lead somewhere, examples parse, named constants have the stated values."""

import math
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from . import pages

PAGES = pages.pages()
DECISIONS = sorted((pages.DOCS / "decisions").glob("*.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(pages.ROOT))


def links(page: Path) -> Iterator[str]:
    for part in pages.prose(page).split("](")[1:]:
        target = part.partition(")")[0]
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def anchor_of(heading: str) -> str:
    kept = "".join(c for c in heading.strip().lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def anchors(page: Path) -> list[str]:
    lines = pages.prose(page).splitlines()
    return [anchor_of(line.lstrip("#").replace("`", "")) for line in lines if line.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(pages.ROOT), f"{link} leads out of the project"
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_json_example_parses(page: Path) -> None:
    for block in pages.fenced(page, "json"):
        orjson.loads(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_constant_named_in_a_table_has_the_stated_value(page: Path) -> None:
    for table in pages.tables(page):
        if "constant" not in table.titles:
            continue
        values = table.column("value" if "value" in table.titles else "limit")
        for path, stated in zip(table.column("constant"), values, strict=True):
            actual = pages.constant(path.strip("`"))
            if isinstance(actual, str):
                assert stated.strip("`") == actual, path
            else:
                assert isinstance(actual, int | float), path
                factor = 1_000_000 if stated.endswith(" s") and path.endswith("_US`") else 1
                assert math.isclose(pages.number(stated) * factor, actual), (path, actual)


def test_decisions_are_numbered_without_gaps_and_say_what_follows() -> None:
    assert [page.name[:4] for page in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    for page in DECISIONS:
        headings = [line for line in pages.prose(page).splitlines() if line.startswith("#")]
        assert headings[0].startswith(f"# {int(page.name[:4])}. "), page.name
        assert headings[1:] == ["## Context", "## Decision", "## Consequences"], page.name
