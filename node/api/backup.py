"""`POST /v1/backup`: a snapshot of this node's database, written into its own data directory.

What is in it is public among the nodes; the private keys are not, and are not in it. `kith backup`
asks for it, and packs it with the key files that it reads from the directory itself.
"""

import shutil
from functools import partial
from pathlib import Path

import trio

from node.context import NodeContext
from node.durability import DATABASE, backup
from node.http import ApiError, Request, Response, Route, json_response
from node.registrar.failures import disk_full
from protocol.identity import id_text
from protocol.signing import cluster_id
from storage import DiskFullError, StorageError

from .shapes import Json
from .table import Endpoint

HANDLER_S = 600.0
"""A large database on a slow disk takes its time; writes go on meanwhile."""


class BackupRoutes:
    """The handler of `/v1/backup`."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._busy = False

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The route."""
        return (
            Endpoint(
                route=Route("POST", "/v1/backup", self.take, handler_s=HANDLER_S),
                summary="Write a snapshot of the database into the node's own data directory.",
                answers={200: "It is written.", 409: "One is being written already."},
                answer="Snapshot",
            ),
        )

    async def take(self, request: Request) -> Response:
        """`POST /v1/backup`."""
        request.query.check_known()
        if self._busy:
            raise ApiError(409, "conflict", "a snapshot is being written already; wait for it")
        self._busy = True
        try:
            return json_response(200, await self._take())
        finally:
            self._busy = False

    async def _take(self) -> dict[str, Json]:
        context, begun = self._context, trio.current_time()
        own = context.peer.registry.branch(context.me)
        version = own.dot.version if own else 0
        data_dir = context.config.data_dir.absolute()
        try:
            await trio.to_thread.run_sync(backup.remove_left, data_dir)
            place = backup.new_place(data_dir)
        except OSError as error:
            raise _failed(data_dir, error.strerror or str(error)) from None
        is_whole = False
        try:
            await context.writer.snapshot(place / DATABASE)
            size, is_whole = (place / DATABASE).stat().st_size, True
        except DiskFullError:
            raise disk_full(definite=True) from None
        except StorageError as error:
            raise _failed(data_dir, str(error)) from None
        finally:
            if not is_whole:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))
        return {
            "path": str(place / DATABASE),
            "bytes": size,
            "node": id_text(context.me),
            "cluster": cluster_id(context.config.cluster).hex(),
            "version": version,
            "root": context.peer.registry.root.hex(),
            "took_ms": round((trio.current_time() - begun) * 1_000, 3),
        }


def _failed(data_dir: Path, reason: str) -> ApiError:
    return ApiError(500, "internal", f"no snapshot could be written into {data_dir}: {reason}")
