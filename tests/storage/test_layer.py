"""What the layer promises about itself."""

import ast
from pathlib import Path

import storage

FOLDER = Path(storage.__file__).parent


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_only_the_writer_and_what_waits_for_it_know_trio() -> None:
    users = {path.name for path in FOLDER.rglob("*.py") if "trio" in imported_by(path)}

    assert users == {"waiting.py", "writer.py"}


def test_public_names_are_sorted_and_exist() -> None:
    assert list(storage.__all__) == sorted(storage.__all__)
    assert all(hasattr(storage, name) for name in storage.__all__)
