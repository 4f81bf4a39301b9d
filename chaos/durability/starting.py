"""Whole nodes on some of the directories of a sweep: does the doctor tell what a node would do?"""

from collections.abc import Callable
from pathlib import Path
from random import Random

from chaos.cluster.processes import NodeProcess, ProcessError, free_ports

from .disk import Image
from .doctor import Found, examine
from .recording import Recording
from .sweep import Case, Swept, cases, lay_out


def start_some(
    recording: Recording,
    directory: Path,
    seed: int,
    count: int,
    swept: Swept,
    say: Callable[[str], None],
) -> None:
    """Start nodes on so many different directories and note where they differ from the doctor.

    The cases are those of the sweep, drawn once more.

    Raises:
        TraceError: as `sweep`.
        ProcessError: no free ports.
    """
    for case, image in _chosen(recording, seed, count):
        place = directory / f"started{swept.started}"
        lay_out(image, place / "node")
        lay_out(image, place / "doctor")
        swept.started += 1
        swept.note(case, _compare(place, recording.data_dir))
        say(f"{swept.started} of {count} nodes started, {swept.invalid:,} invalid")


def _chosen(recording: Recording, seed: int, count: int) -> list[tuple[Case, Image]]:
    """A sample of the different directories, each equally likely, in order."""
    rng, seen, kept = Random(f"start/{seed}"), set[bytes](), list[tuple[Case, Image]]()
    for case, image in cases(recording, seed, Swept()):
        if case.digest in seen or not count:
            continue
        seen.add(case.digest)
        if len(kept) < count:
            kept.append((case, image))
        elif (place := rng.randrange(len(seen))) < count:
            kept[place] = case, image
    return sorted(kept, key=lambda one: one[0].point.number)


def _compare(place: Path, data_dir: str) -> list[str]:
    (found,) = examine([place / "doctor" / data_dir])
    http, gossip = free_ports(2)
    node = NodeProcess(data_dir, place / "node", (http, gossip))
    node.start()
    try:
        node.wait_ready()
        return _differences(node, found)
    except ProcessError as error:
        return [f"a node does not start, and the doctor says {found.state}: {error}"]
    finally:
        node.kill()


def _differences(node: NodeProcess, found: Found) -> list[str]:
    shown = {str(row.get("id")) for row in node.call("GET", "/v1/services/load").rows("instances")}
    said = []
    if shown != found.instances.keys():
        said.append(f"a node shows {len(shown)} instances, the doctor {len(found.instances)}")
    head = node.call("GET", "/v1/node").whole("head")
    if head <= found.version:
        said.append(f"a node goes on with version {head}, after {found.version}")
    return said
