"""An owner who signs commits about itself, for tests that need real ones."""

from protocol.bodies import Body, Stamp, record_of, stamp_of, stamped
from protocol.branch import Branch
from protocol.commits import Change, Commit, Dot, Draft, Manifest, RecordKey, make_commit
from protocol.identity import (
    INCEPTION,
    ROTATION,
    KeyChain,
    KeyEvent,
    NodeId,
    commitment,
    make_event,
    verify_chain,
)
from protocol.signing import KeyPair

from .peer_world import CLUSTER, TRUST


class Author:
    """Holds keys and its own branch; every commit is applied there."""

    def __init__(self, number: int = 1, *, stamps: bool = False) -> None:
        self.number = number
        self.stamps = stamps
        """Whether its records say which commit set them, as those of real nodes do."""
        self.events: list[KeyEvent] = []
        self.rotate()
        self.branch = Branch(self.chain, TRUST)

    @property
    def id(self) -> NodeId:
        return self.chain.node

    @property
    def epoch(self) -> int:
        return len(self.events) - 1

    @property
    def chain(self) -> KeyChain:
        return verify_chain([event.pack() for event in self.events], TRUST)

    def key(self, epoch: int) -> KeyPair:
        return KeyPair(self.number.to_bytes(16, "big") + epoch.to_bytes(16, "big"))

    def rotate(self) -> None:
        epoch = len(self.events)
        event = make_event(
            ROTATION if epoch else INCEPTION,
            previous=self.events[-1] if epoch else None,
            key=self.key(epoch),
            next_commitment=commitment(self.key(epoch + 1).public_key),
            cluster=CLUSTER,
        )
        self.events.append(event)
        if epoch:
            self.branch.chain = self.chain

    def draft(self, *bodies: Body, remove: tuple[RecordKey, ...] = ()) -> Commit:
        """The next commit, signed but not applied here: two drafts are a fork."""
        head = self.branch.head
        version = head.version + 1 if head else 1
        changes = changes_of(*bodies, remove=remove)
        if self.stamps:
            changes = tuple(self._stamped(change, version) for change in changes)
        return self.signed(changes, parents=(head.hash,) if head else (), version=version)

    def _stamped(self, change: Change, version: int) -> Change:
        if change.body is None:
            return change
        held = self.branch.records.get(RecordKey(change.kind, change.key))
        first = stamp_of(held).first if held else version
        return change._replace(body=stamped(change.body, Stamp(version, first)))

    def signed(
        self,
        changes: tuple[Change, ...],
        *,
        parents: tuple[bytes, ...],
        version: int,
        root: bytes | None = None,
    ) -> Commit:
        """Any commit at all."""
        draft = Draft(
            owner=self.id,
            dot=Dot(self.epoch, version),
            parents=parents,
            issued_at=version,
            state_root=self.branch.preview(changes) if root is None else root,
        )
        return make_commit(draft, changes, key=self.key(self.epoch), cluster=CLUSTER)

    def commit(self, *bodies: Body, remove: tuple[RecordKey, ...] = ()) -> Commit:
        """The next commit, also applied here."""
        commit = self.draft(*bodies, remove=remove)
        self.branch.offer([commit])
        return commit

    def manifest(self) -> Manifest:
        manifest = self.branch.manifest()
        assert manifest is not None
        return manifest


def changes_of(*bodies: Body, remove: tuple[RecordKey, ...] = ()) -> tuple[Change, ...]:
    sets = [Change(record.kind, record.key, record.body) for record in map(record_of, bodies)]
    return (*sets, *(Change(key.kind, key.key, None) for key in remove))
