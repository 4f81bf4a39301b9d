"""Wait until every container of the compose project is healthy: `make up` ends with it.

Exit code 0 with the seconds it took; 1 with the names and states of those that are not healthy in
time. Standard library only, because it runs before anything is set up. The words given are the
compose command: `docker-compose`, or `docker compose`.
"""

import subprocess
import sys
import time
from collections.abc import Sequence

WITHIN_S = 60.0
POLL_S = 0.5
COMMAND_TIMEOUT_S = 30.0
STATE = "{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
GOOD = "healthy"


class AskingError(Exception):
    """Docker or compose did not answer; the message is its own."""


def main(compose: Sequence[str], within_s: float = WITHIN_S) -> int:
    """Poll until all are healthy."""
    started = time.monotonic()
    try:
        containers = _output([*(compose or ("docker-compose",)), "ps", "-q"]).split()
        if not containers:
            print("no container runs: make up starts them", file=sys.stderr)
            return 1
        while True:
            states = _states(containers)
            late = {name: state for name, state in states.items() if state != GOOD}
            took_s = time.monotonic() - started
            if not late:
                print(f"{len(states)} containers healthy {took_s:.1f} s after they were started")
                return 0
            if took_s > within_s:
                break
            time.sleep(POLL_S)
    except AskingError as error:
        print(error, file=sys.stderr)
        return 1
    named = ", ".join(f"{name} is {state}" for name, state in sorted(late.items()))
    print(f"not healthy after {within_s:.0f} s: {named}; see docker logs NAME", file=sys.stderr)
    return 1


def _states(containers: Sequence[str]) -> dict[str, str]:
    lines = _output(["docker", "inspect", "--format", STATE, *containers]).splitlines()
    pairs = (line.lstrip("/").partition(" ") for line in lines)
    return {name: state for name, _, state in pairs}


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AskingError(f"{command[0]} cannot be asked: {error}") from None
    if done.returncode:
        raise AskingError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
