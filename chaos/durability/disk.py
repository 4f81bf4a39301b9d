"""A disk that may forget what was not synced: fed with system calls, it says what may be left.

The model is an abstract persistence model as in ALICE (Pillai et al., OSDI 2014), at its weakest:

1. What `fsync` or `fdatasync` covered when it began is there, whatever happens: of a file its data
   and its length, of a directory its entries. Nothing else is sure. A new file, a rename or a
   removal is sure only once its *directory* was synced; syncing the file does not do that (ext4
   does more; POSIX does not say so).
2. Of every write since, any of its 512-byte sectors may be there or not, in any order. Where one
   that made the file longer is lost, the length may have grown all the same, over zeros.
3. Of the other changes since (a new length, a new name, a removal), any may be there or not, in any
   order; a rename is whole or not at all, and so is a sector.

Left out, as SQLite leaves it out too (sqlite.org/atomiccommit.html, "Hardware Assumptions", and
sqlite.org/psow.html): what a write does not touch is not damaged by it, no garbage appears where
nobody wrote, and no drive claims to have synced what it has not. Rights and times of files are
not modelled either.

Rules this module keeps:

1. Only what lies below `root` is looked at.
2. A call that changes files in a way that is not modelled here is an error, never ignored. The one
   exception is a SQLite -shm, which is mapped memory and made anew by whoever opens the file first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar, TypeAlias, assert_never

from .strace import Call, TraceError

SECTOR = 512
_HARMLESS = ("sendto", "sendmsg", "sendmmsg")


@dataclass(eq=False, slots=True)
class File:
    """A file: what of it is sure."""

    durable: bytearray = field(default_factory=bytearray)


@dataclass(eq=False, slots=True)
class Directory:
    """A directory: the entries that are sure, and those that a running program sees."""

    durable: "dict[str, Node]" = field(default_factory=dict)
    current: "dict[str, Node]" = field(default_factory=dict)


Node: TypeAlias = File | Directory


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place of a file."""

    node: File
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file is so long from here on; `grows_only`: unless it is longer."""

    node: File
    size: int
    grows_only: bool = False


@dataclass(frozen=True, slots=True)
class Enter:
    """A directory has an entry from here on; `instead_of` is gone, of a rename."""

    node: Directory
    name: str
    what: Node
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Remove:
    """A directory has an entry no more."""

    node: Directory
    name: str


Change: TypeAlias = Write | Resize | Enter | Remove
Outcome = Callable[[Change], list[Change]]
"""What of a change that was not synced is there after the power cut: nothing, itself, or parts."""
Image: TypeAlias = Mapping[PurePosixPath, bytes | None]
"""All below the root: path to content, None for a directory."""


@dataclass(slots=True)
class _Open:
    node: Node
    name: str
    offset: int = 0
    appends: bool = False


class Disk:
    """The directory `root`, empty at first. `perform` each call, in order; `after` a power cut."""

    def __init__(self, root: Path) -> None:
        self._root = PurePosixPath(root)
        self._top = Directory()
        self._open: dict[int, _Open] = {}
        self._pending: list[tuple[int, Change]] = []
        """With the place in the trace where each was done."""

    @property
    def pending(self) -> list[Change]:
        """What is not sure, in order."""
        return [change for _, change in self._pending]

    def synced(self, call: Call) -> str:
        """The name of what a call makes sure; nothing if it makes nothing sure."""
        if call.name not in ("fsync", "fdatasync") or call.result < 0:
            return ""
        found = self._open.get(call.number(0))
        return found.name if found is not None else ""

    def perform(self, call: Call) -> None:
        """Take in one call.

        Raises:
            TraceError: it does what is not modelled.
        """
        if call.result < 0:
            return
        act = self._ACTS.get(call.name)
        if act is not None:
            act(self, call)
        elif call.name not in _HARMLESS and self._touches(call):
            raise TraceError(f"{call.name} is not modelled")

    def after(self, outcome: Outcome) -> Image:
        """What is there when the power goes now and `outcome` befalls what was not synced."""
        files: dict[File, bytearray] = {}
        folders: dict[Directory, dict[str, Node]] = {}
        for change in self.pending:
            for part in outcome(change):
                if isinstance(part, Write | Resize):
                    content = files.setdefault(part.node, bytearray(part.node.durable))
                    _change_file(content, part)
                else:
                    entries = folders.setdefault(part.node, dict(part.node.durable))
                    _change_folder(entries, part)
        image: dict[PurePosixPath, bytes | None] = {}

        def collect(folder: Directory, path: PurePosixPath) -> None:
            for name, node in folders.get(folder, folder.durable).items():
                if isinstance(node, Directory):
                    image[path / name] = None
                    collect(node, path / name)
                else:
                    image[path / name] = bytes(files.get(node, node.durable))

        collect(self._top, PurePosixPath())
        return image

    # Calls

    def _opened(self, call: Call) -> None:
        self._open.pop(call.result, None)
        place = self._place(call, 1, at=0)
        if place is None:
            return
        folder, name = place
        flags = call.text(2)
        node = folder.current.get(name) if name else folder
        if node is None:
            if "O_CREAT" not in flags:
                raise TraceError(f"open of {name}, which nobody made")
            node = File()
            self._enter(call, folder, name, node)
        elif isinstance(node, File) and "O_TRUNC" in flags:
            self._note(call, Resize(node, 0))
        self._open[call.result] = _Open(node, name or "/", appends="O_APPEND" in flags)

    def _closed(self, call: Call) -> None:
        self._open.pop(call.number(0), None)

    def _ended(self, call: Call) -> None:
        self._open.clear()

    def _doubled(self, call: Call) -> None:
        found = self._open.get(call.number(0))
        if call.name == "fcntl" and not call.text(1).startswith("F_DUPFD"):
            return
        self._open.pop(call.result, None)
        if found is not None:
            self._open[call.result] = found

    def _written(self, call: Call) -> None:
        found = self._open.get(call.number(0))
        if found is None:
            return
        if not isinstance(found.node, File) or found.appends:
            raise TraceError(f"{call.name} to a directory, or at the end of a file")
        data = call.data(1)[: call.result]
        if call.name.startswith("pwrite"):
            offset = call.number(3)
        else:
            offset, found.offset = found.offset, found.offset + len(data)
        self._note(call, Write(found.node, offset, data))

    def _resized(self, call: Call) -> None:
        found = self._open.get(call.number(0))
        if found is not None and isinstance(found.node, File):
            self._note(call, Resize(found.node, call.number(1)))

    def _synced(self, call: Call) -> None:
        found = self._open.get(call.number(0))
        if found is None:
            return
        rest: list[tuple[int, Change]] = []
        for place, change in self._pending:
            if change.node is not found.node or place > call.began:
                rest.append((place, change))
            elif isinstance(change, Write | Resize):
                _change_file(change.node.durable, change)
            else:
                _change_folder(change.node.durable, change)
        self._pending = rest

    def _made_folder(self, call: Call) -> None:
        place = self._place(call, 0) if call.name == "mkdir" else self._place(call, 1, at=0)
        if place is not None:
            self._enter(call, *place, Directory())

    def _renamed(self, call: Call) -> None:
        one = call.name == "rename"
        old = self._place(call, 0) if one else self._place(call, 1, at=0)
        new = self._place(call, 1) if one else self._place(call, 3, at=2)
        if old is None and new is None:
            return
        if old is None or new is None or old[0] is not new[0]:
            raise TraceError("a rename from one directory to another")
        folder, name = new
        node = folder.current.pop(old[1])
        folder.current[name] = node
        self._note(call, Enter(folder, name, node, instead_of=old[1]))

    def _removed(self, call: Call) -> None:
        one = call.name in ("unlink", "rmdir")
        place = self._place(call, 0) if one else self._place(call, 1, at=0)
        if place is not None:
            folder, name = place
            folder.current.pop(name)
            self._note(call, Remove(folder, name))

    def _mapped(self, call: Call) -> None:
        if "MAP_SHARED" not in call.text(3) or "PROT_WRITE" not in call.text(2):
            return
        found = self._open.get(call.number(4))
        if found is not None and not self._is_shared_index(found.node):
            raise TraceError("a file is mapped to be written")

    # What they have in common

    def _enter(self, call: Call, folder: Directory, name: str, node: Node) -> None:
        folder.current[name] = node
        self._note(call, Enter(folder, name, node))

    def _note(self, call: Call, change: Change) -> None:
        self._pending.append((call.ended, change))

    def _touches(self, call: Call) -> bool:
        """Whether a call that is not modelled may concern what lies below the root."""
        paths = [value for value in call.arguments if isinstance(value, bytes)]
        if any(self._inside(path) is not None for path in paths):
            return True
        first = call.arguments[0] if call.arguments else ""
        return isinstance(first, str) and first.isdigit() and int(first) in self._open

    def _is_shared_index(self, node: Node) -> bool:
        folders = [self._top, *(n for n in self._top.current.values() if isinstance(n, Directory))]
        return any(
            found is node and name.endswith("-shm")
            for folder in folders
            for name, found in folder.current.items()
        )

    def _inside(self, path: bytes) -> tuple[str, ...] | None:
        found = PurePosixPath(path.decode("utf-8", "surrogateescape"))
        return found.relative_to(self._root).parts if found.is_relative_to(self._root) else None

    def _place(
        self, call: Call, argument: int, *, at: int | None = None
    ) -> tuple[Directory, str] | None:
        """The directory and the name in it that a path means; None if it lies elsewhere."""
        path = call.data(argument)
        if not path.startswith(b"/") and at is not None and call.text(at) != "AT_FDCWD":
            if int(call.text(at)) in self._open:
                raise TraceError(f"{call.name}: a path relative to a directory")
            return None
        parts = self._inside(path)
        if parts is None:
            return None
        folder = self._top
        for part in parts[:-1]:
            inner = folder.current.get(part)
            if not isinstance(inner, Directory):
                raise TraceError(f"{call.name}: {part} is no directory that was made")
            folder = inner
        if not parts:
            return self._top, ""
        return folder, parts[-1]

    _ACTS: ClassVar[Mapping[str, Callable[["Disk", Call], None]]] = {
        "openat": _opened,
        "close": _closed,
        "exit_group": _ended,
        "dup": _doubled,
        "dup2": _doubled,
        "dup3": _doubled,
        "fcntl": _doubled,
        "write": _written,
        "writev": _written,
        "pwrite64": _written,
        "pwritev": _written,
        "ftruncate": _resized,
        "fsync": _synced,
        "fdatasync": _synced,
        "mkdir": _made_folder,
        "mkdirat": _made_folder,
        "rename": _renamed,
        "renameat": _renamed,
        "renameat2": _renamed,
        "unlink": _removed,
        "unlinkat": _removed,
        "rmdir": _removed,
        "mmap": _mapped,
    }


def _change_file(content: bytearray, change: Write | Resize) -> None:
    match change:
        case Write(_, offset, data):
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        case Resize(_, size, grows_only):
            if len(content) < size:
                content.extend(bytes(size - len(content)))
            elif not grows_only:
                del content[size:]
        case _:
            assert_never(change)


def _change_folder(entries: dict[str, Node], change: Enter | Remove) -> None:
    match change:
        case Enter(_, name, what, instead_of):
            entries.pop(instead_of, None)
            entries[name] = what
        case Remove(_, name):
            entries.pop(name, None)
        case _:
            assert_never(change)
