"""Nodes as they run where Kith is deployed: what the benchmarks start, unless they say otherwise.

The container image and the systemd unit run the distribution's Python, without docstrings and
asserts, and find its bytecode ready. A checkout may have been set up with one that was built from
source, perhaps without profile-guided optimization: a registration took 12 % more time with such a
one. So where the system has a Python of the same version, that runs the nodes, and hypercorn beside
them, with the packages of the checkout.
"""

import compileall
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from node.cli.local_cluster import NODE_COMMAND, ROOT

from .cluster.fleet import BenchError


def _python(system: Path) -> tuple[str, ...]:
    """How to start the interpreter: the system's, if there is one and ours is another."""
    if not system.exists() or Path(sys.executable).resolve() == system.resolve():
        return (sys.executable,)
    packages = os.pathsep.join((str(ROOT), sysconfig.get_path("platlib")))
    return ("/usr/bin/env", f"PYTHONPATH={packages}", str(system))


PYTHON = _python(Path("/usr/bin") / f"python{sys.version_info.major}.{sys.version_info.minor}")
"""Starts the interpreter, before its flags; in the same process in the end."""
WHOLE = (*PYTHON, *NODE_COMMAND[1:])
"""Starts one node with docstrings and asserts, before its flags."""
NODE = (*PYTHON, "-OO", *NODE_COMMAND[1:])
"""Starts one node, before its flags; `-OO` is what `PYTHONOPTIMIZE=2` says."""
VERSION = (*PYTHON, "-m", "node.cli", "version")
"""Says which Kith that is, and which Python runs it."""
_LAYERS = ("protocol", "storage", "node", "mesh")
_LOADED_WITHIN_S = 120.0


def prepare() -> None:
    """Write the bytecode of all modules, Python's own too, as it lies in the image.

    Otherwise each node compiles them anew as it starts, where PYTHONDONTWRITEBYTECODE is set.

    Raises:
        BenchError: the node's modules cannot be loaded.
    """
    for layer in _LAYERS:
        for optimize in (0, 2):
            compileall.compile_dir(ROOT / layer, quiet=1, optimize=optimize)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for command in (NODE, WHOLE):
        done = subprocess.run(
            (*command, "--help"), capture_output=True, env=environ, check=False,
            timeout=_LOADED_WITHIN_S,
        )  # fmt: skip
        if done.returncode:
            raise BenchError(f"kith node --help: {done.stderr[-200:]!r}")
