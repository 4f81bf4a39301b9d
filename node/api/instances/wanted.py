"""What a registration asks for, and what it is told: shared by one and by many at once."""

from collections.abc import Mapping

from node.api.reading import Defaults, service_of
from node.context import NodeContext
from node.registrar import Instances, Registered, Request
from protocol.records import NodeRecord, ServiceRecord


class Wanted:
    """Makes records of registrations, with the defaults of this node as it is now."""

    def __init__(self, context: NodeContext, instances: Instances) -> None:
        self._peer = context.peer
        self._config = context.config
        self._instances = instances
        self._kept: tuple[NodeRecord, Defaults] | None = None

    def record(self, document: Mapping[str, object], asked: Request) -> ServiceRecord:
        """The record that a registration wants, stamped.

        Raises:
            ApiError: 400 `invalid_field`, naming the field.
        """
        return service_of(document, self.defaults(), *self._instances.stamp(asked))

    def defaults(self) -> Defaults:
        """What stands for fields that are left out; they change with this node's own record."""
        record, config = self._peer.record, self._config
        if self._kept is None or self._kept[0] is not record:
            defaults = Defaults(
                address=record.host,
                zone=record.zone,
                interval_ms=config.check_interval_ms,
                timeout_ms=config.check_timeout_ms,
            )
            self._kept = record, defaults
        return self._kept[1]


def registered_shape(owner: str, done: Registered) -> dict[str, object]:
    """What a registration is told when it is durable."""
    return {
        "name": done.name, "id": done.id, "owner": owner, "version": done.version,
        "update_id": done.update_id,
    }  # fmt: skip
