"""A backup is one file that is whole, or is refused: whatever bit of it was changed."""

import io
import json
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from random import Random

import pytest

from node.durability import DATABASE, archive
from node.durability.archive import BackupError, Manifest, describe, pack, unpack
from node.keyfiles import KEY_FILE

FLIPS = 400
KINDS = ("cut short", "no backup", "damaged", "format")


def quiet(_what: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    place.mkdir()
    (place / DATABASE).write_bytes(Random(1).randbytes(20_000))
    (place / KEY_FILE).write_bytes(b"key" * 100)
    return place


@pytest.fixture
def into(tmp_path: Path) -> Path:
    place = tmp_path / "into"
    place.mkdir()
    return place


def manifest_of(place: Path) -> Manifest:
    return Manifest(
        format=archive.FORMAT, kith="0", cluster="ab" * 32, node="n", epoch=0, version=1, owners=1,
        taken_at="2026-01-02T03:04:05.678Z", root="cd" * 32, records=2,
        files=describe(place, (DATABASE, KEY_FILE, "identity.next")),
    )  # fmt: skip


@pytest.fixture
def packed(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    assert pack(path, source, manifest_of(source), progress=quiet) == path.stat().st_size
    return path


def refused(path: Path, into: Path) -> str:
    """Why it is; whatever came into the directory is removed."""
    try:
        unpack(path, into, progress=quiet)
    except BackupError as error:
        return str(error)
    finally:
        for left in into.iterdir():
            left.unlink()
    return ""


def test_what_was_packed_comes_out_and_any_tar_can_read_it(
    packed: Path, source: Path, into: Path
) -> None:
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600

    manifest = unpack(packed, into, progress=quiet)

    assert manifest == manifest_of(source)
    assert manifest.has_keys
    assert sorted(path.name for path in into.iterdir()) == [KEY_FILE, DATABASE]
    for path in into.iterdir():
        assert path.read_bytes() == (source / path.name).read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(packed) as tar:
        assert tar.getnames() == ["manifest.json", DATABASE, KEY_FILE]


def test_one_bit_flipped_anywhere_is_refused(packed: Path, into: Path) -> None:
    whole, rng = packed.read_bytes(), Random(7)
    offsets = {*range(1_600), *range(len(whole) - 200, len(whole))}
    for offset in sorted(offsets | {rng.randrange(len(whole)) for _ in range(FLIPS)}):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << rng.randrange(8)
        packed.write_bytes(flipped)
        assert any(kind in refused(packed, into) for kind in KINDS), f"byte {offset}"


def lengths(whole: int) -> Iterator[int]:
    yield from range(0, 600, 37)
    yield from range(600, whole, 511)
    yield from range(whole - 100, whole)


def test_one_that_was_cut_anywhere_is_refused(packed: Path, into: Path) -> None:
    whole = packed.read_bytes()
    for length in lengths(len(whole)):
        packed.write_bytes(whole[:length])
        assert any(kind in refused(packed, into) for kind in KINDS), f"{length} bytes"
    packed.write_bytes(whole + b"\0")
    assert "cut short" in refused(packed, into)


def test_other_files_are_no_backups(tmp_path: Path, into: Path) -> None:
    for content in (b"", b"groceries", b"x" * 100_000):
        (tmp_path / "other").write_bytes(content)
        assert "it is no backup of kith" in refused(tmp_path / "other", into)
    assert "No such file" in refused(tmp_path / "nothing", into)
    assert "Is a directory" in refused(tmp_path, into)


def sealed_anew(path: Path) -> None:
    """As somebody does who alters a backup on purpose."""
    content = path.read_bytes()[: -archive._SEAL_BYTES]
    digest = blake2b(content, digest_size=32).hexdigest()
    path.write_bytes(content + archive._seal(digest))


def test_a_later_format_is_told_from_damage(
    packed: Path, source: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FORMAT", 2)
    pack(packed, source, replace(manifest_of(source), format=2), progress=quiet)
    monkeypatch.undo()

    assert "written in format 2" in refused(packed, into)
    sealed_anew(packed)
    assert "written in format 2" in refused(packed, into), "its manifest says so too"


@pytest.mark.parametrize(
    "names", [["../evil"], ["/evil"], ["evil"], [DATABASE, DATABASE], [KEY_FILE], []]
)
def test_names_that_no_backup_has_are_not_written(
    names: list[str], source: Path, tmp_path: Path, into: Path
) -> None:
    path = tmp_path / "evil.kith"
    whole = manifest_of(source)
    document = {
        **{name: getattr(whole, name) for name in Manifest.__slots__},
        "files": {name: {"bytes": 4, "blake2b": "00"} for name in {DATABASE, *names}},
    }
    with tarfile.open(path, "w") as tar:
        for name, raw in [
            ("manifest.json", json.dumps(document).encode()),
            *((n, b"evil") for n in names),
        ]:
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    path.write_bytes(path.read_bytes() + bytes(archive._SEAL_BYTES))
    sealed_anew(path)

    assert refused(path, into)
    assert not (tmp_path / "evil").exists()


def test_links_and_devices_are_not_unpacked(source: Path, tmp_path: Path, into: Path) -> None:
    path = tmp_path / "evil.kith"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    path.write_bytes(path.read_bytes() + bytes(archive._SEAL_BYTES))
    sealed_anew(path)

    assert "which is no file" in refused(path, into)


def test_what_cannot_be_written_leaves_what_was_there(
    packed: Path, source: Path, tmp_path: Path
) -> None:
    before, manifest = packed.read_bytes(), manifest_of(source)
    (source / KEY_FILE).unlink()

    with pytest.raises(BackupError):
        pack(packed, source, manifest, progress=quiet)
    with pytest.raises(BackupError):
        pack(tmp_path / "nowhere" / "backup", source, manifest, progress=quiet)

    assert packed.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []
