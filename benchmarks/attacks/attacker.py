"""`python -m benchmarks.attacks.attacker NAME HOST PORT`: one attack, as a process of its own.

Prints `ready` when all connections are open, goes on until its standard input ends or `--seconds`
are over, then prints what became of them as one line of JSON.
"""

import argparse
import sys

import orjson
import trio

from .scripts import ATTACKS, Outcome, launch, raise_files

SECONDS_MAX = 120.0
"""An attacker that nobody ends ends by itself."""
FILES_FURTHER = 200
NOT_RUN = 2


def main() -> int:
    """Attack, and tell."""
    parser = argparse.ArgumentParser(prog="benchmarks.attacks.attacker")
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX)
    arguments = parser.parse_args()
    attack = ATTACKS[arguments.name]
    if not raise_files(attack.connections + FILES_FURTHER):
        print(f"SKIPPED: {attack.connections} connections need more open files than are allowed")
        return NOT_RUN
    outcome = Outcome()

    async def run() -> None:
        with trio.move_on_after(arguments.seconds) as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(launch, attack, (arguments.host, arguments.port), outcome)
                print("ready", flush=True)
                await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
                scope.cancel()

    trio.run(run)
    print(orjson.dumps(outcome.document()).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
