"""Which code ran, asked of real git checkouts."""

import shutil
import subprocess
from pathlib import Path

import pytest

from chaos.cli.origin import origin

git = shutil.which("git")
needs_git = pytest.mark.skipif(git is None, reason="NOT TESTED: commits; git is not here")


def run_git(root: Path, *words: str) -> str:
    author = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(root), *author, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def checkout(root: Path) -> str:
    """A committed tree with one package; its short commit."""
    root.mkdir(exist_ok=True)
    (root / "chaos").mkdir()
    (root / "chaos" / "one.py").write_text("x = 1\n")
    (root / "README").write_text("read\n")
    run_git(root, "init", "--quiet")
    run_git(root, "add", ".")
    run_git(root, "commit", "--quiet", "--message", "one")
    return run_git(root, "rev-parse", "--short", "HEAD")


@needs_git
def test_a_clean_checkout_is_named_by_its_commit(tmp_path: Path) -> None:
    commit = checkout(tmp_path)
    assert origin(tmp_path) == f"at commit {commit}"


@needs_git
def test_a_changed_or_added_module_is_said(tmp_path: Path) -> None:
    commit = checkout(tmp_path)
    (tmp_path / "chaos" / "two.py").write_text("y = 2\n")
    assert origin(tmp_path) == f"at commit {commit} with changes"


@needs_git
def test_changes_that_no_run_sees_are_not_said(tmp_path: Path) -> None:
    commit = checkout(tmp_path)
    (tmp_path / "README").write_text("read again\n")
    assert origin(tmp_path) == f"at commit {commit}"


@needs_git
def test_inside_a_hook_the_commit_is_still_that_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = checkout(tmp_path / "ours")
    checkout(tmp_path / "theirs")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "theirs"))
    assert origin(tmp_path / "ours") == f"at commit {commit}"


@needs_git
def test_a_program_installed_inside_another_checkout_is_named_by_its_version(
    tmp_path: Path,
) -> None:
    checkout(tmp_path)
    inside = tmp_path / "site-packages"
    inside.mkdir()
    assert origin(inside).startswith("with kith ")


def test_without_git_the_version_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin(tmp_path).startswith("with kith ")
