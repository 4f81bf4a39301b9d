"""Rules about the code itself that no linter knows."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("protocol", "storage", "node", "mesh", "chaos")
MODULES = sorted(p for layer in (*LAYERS, "benchmarks") for p in (ROOT / layer).rglob("*.py"))
LINES_PER_FUNCTION = 60
LINES_PER_MODULE = 500
MODULES_PER_FOLDER = 24
VAGUE_NAMES = {"utils", "helpers", "common", "base", "manager", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module starts with what it is for"
    assert len(text.splitlines()) <= LINES_PER_MODULE
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_needs_scrolling(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LINES_PER_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_effects_are_never_thrown_away(path: Path) -> None:
    # Neither mypy nor ruff objects to a bare `peer.tick(now=now)`, which would lose sends.
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            name = called.attr if isinstance(called, ast.Attribute) else ""
            assert name not in {"tick", "propose", "persisted"}, f"line {node.lineno}: lost effects"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.relative_to(ROOT).parts[0] == "protocol"], ids=name_of
)
def test_the_core_iterates_no_set(path: Path) -> None:
    # A set of strings or bytes is ordered differently in every process, so a trace would differ.
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.For | ast.comprehension):
            source = node.iter
            is_set = isinstance(source, ast.Set | ast.SetComp) or (
                isinstance(source, ast.Call)
                and isinstance(source.func, ast.Name)
                and source.func.id in {"set", "frozenset"}
            )
            assert not is_set, f"line {source.lineno} iterates a set"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_ignored_without_a_reason(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.relative_to(ROOT).parts[0] == "protocol":
        assert "type: ignore" not in text
    assert "TYPE_CHECKING" not in text, "cycles are forbidden instead"


def test_no_folder_holds_more_than_a_reader_can_survey() -> None:
    for folder in {path.parent for path in MODULES}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MODULES_PER_FOLDER, folder


@pytest.mark.parametrize("layer", ["protocol", "storage", "node.http"])
def test_what_a_layer_offers_is_a_tuple_of_names_that_exist(layer: str) -> None:
    offered = importlib.import_module(layer)

    assert isinstance(offered.__all__, tuple)
    assert len(set(offered.__all__)) == len(offered.__all__)
    assert [name for name in offered.__all__ if not hasattr(offered, name)] == []
