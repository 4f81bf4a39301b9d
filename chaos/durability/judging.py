"""What one node's own disk holds, compared with what its clients were told.

What must hold:

1. It opens without help.
2. Every instance is what was acknowledged last, or asked for since; what was acknowledged as
   deregistered is not back.
3. Every update id that was acknowledged still answers with its version, and none with another.
4. No version is used twice: the highest own version on disk is no lower than any that had left the
   node.
"""

from collections.abc import Iterable

from .doctor import Found
from .ledger import Ledger, Told, acknowledged, wrong


class Judge:
    """Knows all that was asked of one node."""

    def __init__(self, ledgers: Iterable[Ledger]) -> None:
        self._ledgers = list(ledgers)
        self._by_update = {one.update_id: one for ledger in self._ledgers for one in ledger.every()}

    def judge(self, found: Found, version: int, told: Told = acknowledged) -> list[str]:
        """A sentence for each promise that was broken.

        Args:
            found: what the doctor said of the directory.
            version: the highest of the node's versions that had left it.
            told: which operations had been acknowledged.
        """
        if not found.opens:
            return [f"{found.state}: {'; '.join(found.problems)}"]
        said = wrong(self._ledgers, self._ports(found), told) + self._results(found, told)
        if found.version < version:
            said.append(f"knows version {found.version}, and {version} had left the node")
        return said

    def _ports(self, found: Found) -> dict[str, int]:
        """The record names the update that wrote it, and so the port; 0 if nobody sent that."""
        ports = {}
        for instance, update_id in found.instances.items():
            operation = self._by_update.get(update_id)
            ports[instance] = (operation.port or 0) if operation is not None else 0
        return ports

    def _results(self, found: Found, told: Told) -> list[str]:
        said = []
        for update_id, operation in self._by_update.items():
            version = found.results.get(update_id)
            if operation.port is None:
                continue  # a deregistration has no update id
            if version is None and told(operation):
                said.append(f"{update_id}: its result is forgotten")
            elif version is not None and operation.acknowledged and version != operation.version:
                said.append(f"{update_id}: was told {operation.version}, and on disk is {version}")
        return said
