"""ARCHITECTURE.md names what exists, and leaves out no module of the core or the disk."""

import tomllib
from pathlib import Path

from . import pages

TEXT = pages.ARCHITECTURE.read_text(encoding="utf-8")
LAYERS = ("protocol", "storage", "node", "mesh", "chaos", "deploy", "benchmarks")


def paths() -> list[str]:
    """Every path below a layer that the page names, in prose, tables and pictures."""
    words = TEXT
    for end in " `,;:()│▶\n":
        words = words.replace(end, "\0")
    found = [word.rstrip(".") for word in words.split("\0")]
    return [word for word in found if word.split("/")[0] in LAYERS and "/" in word]


def test_every_module_that_is_named_exists() -> None:
    assert len(paths()) > 60
    missing = [path for path in paths() if not (pages.ROOT / path).exists()]
    assert missing == []


def test_every_module_of_the_core_and_the_disk_is_named() -> None:
    named = set(paths())
    folders = (pages.ROOT / layer for layer in ("protocol", "storage"))
    modules = [
        module
        for folder in folders
        for module in folder.rglob("*.py")
        if "migrations" not in module.parts
    ]
    left_out = [path for path in map(relative, modules) if path not in named]
    assert [path for path in left_out if not path.endswith("__init__.py")] == []


def test_every_part_of_the_node_is_named() -> None:
    named = {"/".join(path.rstrip("/").split("/")[:2]) for path in paths()}
    parts = [part for part in (pages.ROOT / "node").iterdir() if not part.name.startswith("_")]
    assert sorted(path for path in map(relative, parts) if path not in named) == []


def test_the_order_of_the_layers_is_the_one_that_is_enforced() -> None:
    settings = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"
    )
    assert f"`{' ← '.join(reversed(contract['layers']))}`" in TEXT


def relative(path: Path) -> str:
    return str(path.relative_to(pages.ROOT))
