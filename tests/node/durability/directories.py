"""Data directories as nodes leave them: real keys, real signatures, a real database."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from node import keystore
from node.durability import DATABASE
from protocol.bodies import service_key
from protocol.clocks import Instant
from protocol.commits import RecordKey
from protocol.detector.config import MembershipConfig
from protocol.effects import Effect, Keep, Persist, Store
from protocol.identity import KeyChain, NodeId
from protocol.peer import Peer
from protocol.records import Kind, NodeRecord, ServiceRecord
from protocol.setup import PeerSetup
from protocol.signing import Signer, cluster_id
from protocol.sync.recollection import Hearing
from storage import Result, SqliteStore, open_store
from tests.node.transport.people import credentials

CLUSTER = cluster_id("test")
NOW_US = 1_750_000_000_000_000


def service(name: str, number: int) -> ServiceRecord:
    return ServiceRecord(
        name=name, id=f"{name}-{number}", address="127.0.0.1", port=80 + number,
        update_id=f"u-{name}-{number}", updated_at=NOW_US,
    )  # fmt: skip


def result_of(record: ServiceRecord, owner: NodeId) -> Result:
    return Result(
        update_id=record.update_id, owner=owner, name=record.name, id=record.id, version=NOW_US,
        body_hash=bytes(32), created_at_us=NOW_US,
    )  # fmt: skip


def setup(chain: KeyChain, signer: Signer) -> PeerSetup:
    record = NodeRecord(
        name="n", host="127.0.0.1", port=1, api_host="127.0.0.1", api_port=2, incarnation=1
    )
    return PeerSetup(
        cluster=CLUSTER, chain=chain, signer=signer, record=record,
        membership=MembershipConfig.lan(), hearing=Hearing.NOTHING,
    )  # fmt: skip


def live(setup: PeerSetup, services: Sequence[ServiceRecord], store: SqliteStore) -> None:
    """One life of a node: its own record, then each service in a commit of its own."""
    now = Instant(0.0, NOW_US)
    peer = Peer(setup, rng=Random(1), now=now)
    perform(peer, peer.tick(now=now), store)
    for one in services:
        key = RecordKey(Kind.SERVICE, service_key(one.name, one.id))
        perform(peer, peer.propose({key: one}, None, now=now), store)


def perform(peer: Peer, effects: Sequence[Effect], store: SqliteStore) -> None:
    for effect in effects:
        match effect:
            case Persist(keeps):
                store.write(keeps)
                perform(peer, peer.persisted(now=Instant(0.0, NOW_US)), store)
            case Store(keep):
                kept: Keep = keep
                store.write([kept])
            case _:
                pass


def fill(directory: Path, *, own: int = 5, theirs: int = 5) -> NodeId:
    """A node with services of its own and one peer with some, ended well."""
    with keystore.lock(directory):
        identity = keystore.load_or_create(directory, CLUSTER, None)
        store = open_store(directory / DATABASE, cluster=CLUSTER, node=identity.node)
        store.begin_life()
        mine = [service("web", number) for number in range(own)]
        live(setup(identity.chain, identity.keys), mine, store)
        other = credentials(9)
        live(setup(other.chain, other.signer), [service("db", n) for n in range(theirs)], store)
        store.write([], [result_of(one, identity.node) for one in mine])
        store.close()
    return identity.node
