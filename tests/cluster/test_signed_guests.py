"""The session of docs/API.md with a guest's own key: as a person types it, on real nodes."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.docs.pages import DOCS, fenced

from .situations import PATIENCE_S, Town, clean_environment, expect_within

pytestmark = pytest.mark.slow


def test_the_example_registers_a_guest_that_every_node_shows_with_its_signer(
    town: Town, tmp_path: Path
) -> None:
    a, _, c = town.nodes
    (example,) = (block for block in fenced(DOCS / "API.md", "sh") if "--new-key" in block)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    typed = subprocess.run(
        ["bash", "-euc", example.replace(":8400", f":{a.port}")], cwd=tmp_path, timeout=60,
        env={**clean_environment(), "PATH": path}, capture_output=True, check=False,
    )  # fmt: skip

    assert typed.returncode == 0, typed.stderr
    key, checked, answer = typed.stdout.decode().splitlines()
    assert checked.startswith("well signed: backend-7")
    assert orjson.loads(answer)["status"] == "registered"

    def shown() -> bool:
        found = c.call("GET", "/v1/peers/backend-7")
        return found.status == 200 and found.value["signed_by"] == key

    expect_within(PATIENCE_S, shown)
    assert a.call("DELETE", "/v1/peers/backend-7").status == 200
