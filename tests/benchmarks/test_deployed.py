"""Which interpreter the benchmarks run nodes with."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import deployed
from benchmarks.report import machine
from node.cli.local_cluster import ROOT


def test_without_a_python_of_the_system_the_checkouts_runs_the_nodes(tmp_path: Path) -> None:
    assert deployed._python(tmp_path / "python3.99") == (sys.executable,)


def test_where_the_systems_python_is_the_checkouts_it_is_started_by_its_own_name() -> None:
    assert deployed._python(Path(sys.executable).resolve()) == (sys.executable,)


def test_the_systems_python_runs_this_checkout_with_its_packages(tmp_path: Path) -> None:
    other = tmp_path / "python3"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')  # knows no packages itself
    other.chmod(0o755)
    script = "import node, msgpack; print(node.__file__)"
    command = (*deployed._python(other), "-c", script)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parents[1] == ROOT


@pytest.mark.parametrize("command", [deployed.NODE, deployed.WHOLE])
def test_a_node_can_be_started_with_it(command: tuple[str, ...]) -> None:
    done = subprocess.run((*command, "--help"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_names_the_python_that_ran_the_nodes() -> None:
    script = "import platform; print(platform.python_version())"
    done = subprocess.run((*deployed.PYTHON, "-c", script), capture_output=True, text=True)
    assert machine.versions()["Python"] == done.stdout.strip()
