"""The HTTP API as a tool sees it that nobody here wrote: schemathesis, against the contract.

It runs where the tool is installed, which `make conformance` sees to; elsewhere it is skipped, for
the tool brings two dozen packages.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node.cli.local_cluster import LocalCluster
from node.client import ApiClient, ApiError

CONFIG = Path(__file__).with_name("schemathesis.toml")
TOOL = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which(
    "schemathesis"
)
SEED = "8400"
TOKEN = "a token that is long enough"  # noqa: S105 - of a node that lives for a minute
REQUEST_S = "65"
"""The longest that a request may ask to wait, `confirm_timeout=60s`, and some time to answer."""
READY_TRIES = 600
LEFT_OUT = ("/v1/leave", "/v1/events", "/v1/keys/revoke")
"""What ends the node, and what never ends."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TOOL is None, reason="SKIPPED: no schemathesis; run make conformance"),
]


def wait_ready(url: str, token: str) -> None:
    """Wait until the node answers whoever knows its token."""
    for left in reversed(range(READY_TRIES)):
        try:
            with ApiClient(url, token or None, 10.0) as api:
                api.call("GET", "/readyz")
        except ApiError:
            if not left:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("token", ["", TOKEN], ids=["open", "with a token"])
def test_the_api_keeps_its_contract(tmp_path: Path, token: str) -> None:
    options = ["--unsafe-no-sync"]
    headers = []
    if token:
        secret = tmp_path / "token"
        secret.write_text(token)
        options += ["--token-file", str(secret)]
        headers = ["--header", f"Authorization: Bearer {token}"]
    with LocalCluster(1, http_port=0, options=options) as cluster:
        cluster.start()
        wait_ready(cluster.api_url(0), token)
        done = subprocess.run(
            [str(TOOL), "--config-file", str(CONFIG), "run", f"{cluster.api_url(0)}/openapi.json",
             "--no-color", "--continue-on-failure", "--generation-database", "none",
             "--max-examples", "8", "--seed", SEED, "--request-timeout", REQUEST_S, *headers,
             *(word for path in LEFT_OUT for word in ("--exclude-path", path))],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        fallen = cluster.newly_fallen()

    print(done.stdout[-4_000:])  # noqa: T201 - the counts, with -s; all of it when it fails
    assert fallen == []
    assert done.returncode == 0, done.stdout + done.stderr
