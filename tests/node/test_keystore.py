"""The key store: whole or not at all, private, and never guessed anew."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node import keystore
from node.keyfiles import KEY_FILE, NEXT_FILE, KeyStoreError
from node.keystore import DirectoryInUseError, Identity, load_or_create, lock
from protocol import identity, signing
from protocol.wire import codec

CLUSTER = signing.cluster_id("kith")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with lock(tmp_path / "data"):
        yield tmp_path / "data"


def start(home: Path, passphrase: bytes | None = None) -> Identity:
    return load_or_create(home, CLUSTER, passphrase)


def contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(home.iterdir())}


def refused(home: Path, passphrase: bytes | None = None) -> str:
    """Why a start is refused; nothing may have been touched."""
    before = contents(home)
    with pytest.raises(KeyStoreError) as caught:
        start(home, passphrase)
    assert contents(home) == before
    return str(caught.value)


def rewritten(path: Path, fields: list[object]) -> None:
    payload = codec.pack(fields)
    checksum = blake2b(payload, digest_size=32, person=b"kith/key-file").digest()
    path.write_bytes(payload + checksum)


def seed_in(file: bytes) -> bytes:
    """The seed in a file that is not encrypted."""
    outer = codec.read(file[:-32], "file")
    outer.fixed("magic", 8), outer.integer("format"), outer.integer("role")
    outer.fixed("cluster", 32), outer.array("sealing", most=1)
    inner = codec.read(outer.raw("content", most=1_000), "content")
    inner.integer("format"), inner.integer("role"), inner.fixed("cluster", 32)
    return inner.fixed("seed", 32)


def test_a_first_start_makes_an_identity_and_the_next_finds_it(home: Path) -> None:
    first, second = start(home), start(home)

    assert (first.created, second.created) == (True, False)
    assert first.node == second.node == first.chain.events[0].hash
    assert first.keys.seed == second.keys.seed
    assert first.chain == second.chain
    assert identity.verify_chain(first.chain.packed(), signing.Trust(CLUSTER)) == first.chain


def test_two_nodes_are_two_identities(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        with lock(tmp_path / name):
            found.append(start(tmp_path / name))
    assert found[0].node != found[1].node


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    for mask in (0o000, 0o777):
        home = tmp_path / f"{mask}"
        home.mkdir()
        before = os.umask(mask)
        try:
            start(home)
        finally:
            os.umask(before)
        for name in (KEY_FILE, NEXT_FILE):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_the_next_key_is_committed_to_and_lies_in_its_own_file(home: Path) -> None:
    made = start(home)
    current, following = contents(home)["identity.key"], contents(home)["identity.next"]

    assert made.keys.seed in current
    assert made.keys.seed not in following
    seed = seed_in(following)
    promised = identity.commitment(signing.KeyPair(seed).public_key)
    assert made.chain.events[0].next_commitment == promised
    assert seed not in current


def test_no_temporary_file_is_left(home: Path) -> None:
    start(home)
    assert list(contents(home)) == ["identity.key", "identity.next", "lock"]


# Crashes.


def test_a_crash_between_the_two_files_is_finished_at_the_next_start(home: Path) -> None:
    start(home)
    following = (home / "identity.next").read_bytes()
    (home / "identity.key").unlink()

    again = start(home)

    assert again.created
    assert (home / "identity.next").read_bytes() == following
    assert start(home).node == again.node


@pytest.mark.parametrize("name", ["identity.key.new", "identity.next.new"])
def test_a_crash_within_a_write_is_started_over(home: Path, name: str) -> None:
    (home / name).write_bytes(b"half a fi")
    assert start(home).created
    assert not (home / name).exists()


@pytest.mark.parametrize("writes", [0, 1])
def test_a_disk_that_fills_up_leaves_something_to_start_from(
    home: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    real, done = os.fsync, []

    def full(opened: int) -> None:
        done.append(opened)
        if len(done) > writes * 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(opened)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(KeyStoreError, match="No space left on device; free some space"):
            start(home)
    assert start(home).created


def test_a_lost_key_beside_a_database_is_not_replaced_by_a_new_one(home: Path) -> None:
    start(home)
    (home / "identity.key").unlink()
    (home / "kith.db").write_bytes(b"")
    assert "it is missing, while identity.next and a database are there" in refused(home)


def test_a_next_key_kept_elsewhere_is_not_needed_to_run(home: Path) -> None:
    made = start(home)
    (home / "identity.next").unlink()
    assert start(home).node == made.node
    assert not (home / "identity.next").exists()


# Refusals; each leaves the files as they are.


@pytest.mark.parametrize("name", ["identity.key", "identity.next"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_a_file_open_to_others_is_refused(home: Path, name: str, mode: int) -> None:
    start(home)
    (home / name).chmod(mode)
    told = refused(home)
    assert f"others may read or write it (mode {mode:04o}); run chmod 600 {home / name}" in told


@pytest.mark.parametrize("name", ["identity.key", "identity.next"])
def test_a_file_of_another_cluster_is_refused(home: Path, name: str) -> None:
    load_or_create(home, signing.cluster_id("other"), None)
    if name == "identity.next":
        (home / "identity.key").unlink()
    assert f"{name}: it belongs to another cluster; check --cluster" in refused(home)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_any_damage_is_refused(home: Path, data: st.DataObject) -> None:
    for old in home.glob("identity*"):
        old.unlink()
    start(home)
    path = home / data.draw(st.sampled_from(["identity.key", "identity.next"]))
    held = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        held[data.draw(st.integers(0, len(held) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del held[data.draw(st.integers(0, len(held) - 1)) :]
    path.write_bytes(held)
    assert "the file is damaged" in refused(home)


@given(noise=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_with_a_right_checksum_is_refused_as_well(home: Path, noise: bytes) -> None:
    path = home / "identity.key"
    payload = b"\x96\xc4\x08kith-key" + noise
    path.write_bytes(payload + blake2b(payload, digest_size=32, person=b"kith/key-file").digest())
    path.chmod(0o600)
    with pytest.raises(KeyStoreError):
        start(home)


def test_a_file_of_a_newer_version_is_refused(home: Path) -> None:
    start(home)
    rewritten(home / "identity.key", [b"kith-key", 2, 0, CLUSTER, [0], b""])
    assert "a newer Kith wrote it; start that version" in refused(home)


def test_a_file_that_asks_for_all_memory_is_refused(home: Path) -> None:
    start(home)
    sealing = [1, bytes(16), 3, 2**40]
    rewritten(home / "identity.key", [b"kith-key", 1, 0, CLUSTER, sealing, bytes(60)])
    assert "the file is damaged: key file.sealing.memory" in refused(home, b"x")


def test_files_that_changed_places_are_refused(home: Path) -> None:
    start(home)
    (home / "identity.key").rename(home / "x")
    (home / "identity.next").rename(home / "identity.key")
    (home / "x").rename(home / "identity.next")
    assert "the file is damaged: key file.role" in refused(home)


def test_files_of_two_nodes_are_refused(home: Path) -> None:
    start(home)
    key = (home / "identity.key").read_bytes()
    for old in home.glob("identity*"):
        old.unlink()
    start(home)
    (home / "identity.key").write_bytes(key)
    assert "it is not the next key of identity.key; restore both" in refused(home)


def test_a_seed_that_is_not_of_the_chain_is_refused(home: Path) -> None:
    made = start(home)
    content = codec.pack([1, 0, CLUSTER, bytes(32), made.chain.packed()])
    rewritten(home / "identity.key", [b"kith-key", 1, 0, CLUSTER, [0], content])
    assert "its key is not the one of its newest key event" in refused(home)


def test_a_directory_in_place_of_a_file_is_refused(home: Path) -> None:
    (home / "identity.key").mkdir()
    with pytest.raises(KeyStoreError, match="it is not a regular file"):
        start(home)


def test_a_directory_that_cannot_be_made_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyStoreError, match="give a --data-dir"), lock(tmp_path / "file" / "x"):
        pass


# Encryption.


def test_an_encrypted_store_opens_with_its_passphrase_alone(home: Path) -> None:
    made = start(home, b"correct horse")

    assert start(home, b"correct horse").keys.seed == made.keys.seed
    assert made.keys.seed not in b"".join(contents(home).values())
    assert "does not open with this passphrase" in refused(home, b"wrong horse")
    assert "it is encrypted; give --key-passphrase-file" in refused(home)


def test_an_open_store_is_encrypted_at_the_next_start_with_a_passphrase(home: Path) -> None:
    made = start(home)
    again = start(home, b"correct horse")

    assert again.node == made.node
    assert made.keys.seed not in b"".join(contents(home).values())
    assert "it is encrypted" in refused(home)
    assert start(home, b"correct horse").node == made.node


def test_encrypting_that_was_interrupted_goes_on(home: Path) -> None:
    made = start(home)
    key = (home / "identity.key").read_bytes()
    start(home, b"p")
    (home / "identity.key").write_bytes(key)

    assert start(home, b"p").node == made.node
    assert (home / "identity.key").read_bytes() != key


# The lock.


def test_two_nodes_never_share_a_directory(tmp_path: Path) -> None:
    with lock(tmp_path):
        with pytest.raises(DirectoryInUseError) as caught, lock(tmp_path):
            pass
        assert caught.value.pid == os.getpid()
        assert f"the process {os.getpid()} uses this directory; end it" in str(caught.value)
    with lock(tmp_path):
        pass


def test_another_process_is_named_and_its_end_frees_the_directory(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from node.keystore import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(DirectoryInUseError) as caught, lock(tmp_path):
            pass
        assert caught.value.pid == other.pid
        other.kill()
    with lock(tmp_path):
        pass


def test_the_same_entropy_makes_the_same_identity(tmp_path: Path) -> None:
    nodes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        rng = Random(7)
        made = load_or_create(tmp_path / name, CLUSTER, None, entropy=rng.randbytes)
        nodes.append(made.node)
    assert nodes[0] == nodes[1]


def rotate(home: Path, passphrase: bytes | None = None) -> Identity:
    return keystore.rotate(home, CLUSTER, passphrase)


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_rotation_reveals_the_promised_key_and_promises_another(
    home: Path, passphrase: bytes | None
) -> None:
    first = start(home, passphrase)

    second, third = rotate(home, passphrase), rotate(home, passphrase)

    assert (first.node, second.node) == (third.node, third.node)
    assert [each.chain.epoch for each in (first, second, third)] == [0, 1, 2]
    again = start(home, passphrase)
    assert again.chain == third.chain
    assert again.keys.seed == third.keys.seed
    assert sorted(contents(home)) == [KEY_FILE, NEXT_FILE, "lock"]


def copied(home: Path, into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(home, into)


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_rotation_cut_at_any_step_is_finished_or_undone_by_the_next_start(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: bytes | None
) -> None:
    first = start(home, passphrase)
    cuts: list[Path] = []
    really = os.fsync

    def noting(opened: int) -> None:
        really(opened)
        cuts.append(tmp_path / f"cut-{len(cuts)}")
        copied(home, cuts[-1])

    monkeypatch.setattr(os, "fsync", noting)
    rotate(home, passphrase)
    monkeypatch.undo()

    epochs = []
    for cut in cuts:
        found = start(cut, passphrase)
        epochs.append(found.chain.epoch)
        assert found.node == first.node
        assert "identity.after" not in contents(cut)
        assert rotate(cut, passphrase).chain.epoch == found.chain.epoch + 1, "the next key is there"
    assert epochs == [0, 0, 0, 1, 1], "after written, key file before and after its rename, the end"


def test_a_rotation_without_the_next_key_names_the_file_and_changes_nothing(home: Path) -> None:
    start(home)
    kept = (home / NEXT_FILE).read_bytes()
    (home / NEXT_FILE).unlink()
    before = contents(home)

    for change in (keystore.rotate, keystore.revoke):
        with pytest.raises(KeyStoreError, match=r"identity\.next: it is missing.*put it back"):
            change(home, CLUSTER, None)
    assert contents(home) == before
    assert not keystore.holds_next(home)

    (home / NEXT_FILE).write_bytes(kept)
    (home / NEXT_FILE).chmod(0o600)
    assert rotate(home).chain.epoch == 1


def test_another_next_key_than_the_promised_one_is_refused(home: Path, tmp_path: Path) -> None:
    start(home)
    with lock(tmp_path / "other"):
        start(tmp_path / "other")
    shutil.copy(tmp_path / "other" / NEXT_FILE, home / NEXT_FILE)
    before = contents(home)

    with pytest.raises(KeyStoreError, match="it is not the next key"):
        rotate(home)

    assert contents(home) == before


def test_a_revoked_identity_loads_as_revoked_and_goes_no_further(home: Path) -> None:
    first = start(home)

    ended = keystore.revoke(home, CLUSTER, None)

    assert ended.chain.revoked
    assert ended.chain.events[:-1] == first.chain.events
    assert start(home).chain == ended.chain
    with pytest.raises(KeyStoreError, match="revoked"):
        rotate(home)
