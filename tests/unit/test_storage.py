import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from fakes.fake_clock import FakeClock
from fakes.memory_store import MemoryStore
from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.domain.intervals import day_interval
from recflow.errors import ArtifactCorrupt, PermanentError, StoreFull
from recflow.storage import ArtifactStore, list_files


class OrderedStore(MemoryStore):
    """Remembers the order of puts."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def put(self, key, data, *, if_absent=False):
        self.order.append(key)
        return super().put(key, data, if_absent=if_absent)


@pytest.fixture
def store():
    return OrderedStore()


@pytest.fixture
def artifacts(store, tmp_path):
    return ArtifactStore(store, tmp_path / "cache")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "output"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\x00\x01\x02" * 100)
    (folder / "deep" / "notes.txt").write_text("hello")
    return folder


def manifest_of(folder: Path, attempt: str = "first", **changes) -> Manifest:
    manifest = Manifest(
        kind=RefKind.MODEL,
        recipe="shop",
        stage="compress",
        stage_version=1,
        key="k" * 64,
        attempt=attempt,
        interval=day_interval("2011-01-04", "UTC"),
        inputs={},
        files=list_files(folder),
        numbers={"rows": 3},
        reusable=True,
        created_at=FakeClock().now(),
    )
    return manifest.model_copy(update=changes)


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_one_file_is_read_without_the_others(artifacts, folder):
    ref = artifacts.publish(manifest_of(folder), folder)
    assert artifacts.read(ref, "deep/notes.txt") == b"hello"
    assert artifacts.read(ref, "deep/other.txt") is None


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_one_file_that_changed_or_is_lost_is_refused(artifacts, folder, store, damage):
    ref = artifacts.publish(manifest_of(folder), folder)
    key = next(key for key in store.objects if key.endswith("deep/notes.txt"))
    store.objects[key] = b"hallo"
    if damage == "lost":
        del store.objects[key]
    with pytest.raises(ArtifactCorrupt, match=r"notes\.txt changed"):
        artifacts.read(ref, "deep/notes.txt")


def test_a_published_folder_is_fetched_as_it_was(artifacts, folder):
    fetched = artifacts.fetch(artifacts.publish(manifest_of(folder), folder))
    assert list_files(fetched) == list_files(folder)
    assert (fetched / "deep" / "notes.txt").read_text() == "hello"


def test_a_reference_carries_what_a_person_wants_to_see(artifacts, folder):
    ref = artifacts.publish(manifest_of(folder), folder)
    assert (ref.kind, ref.uri, ref.numbers) == (RefKind.MODEL, f"memory://store/shop/models/{'k' * 64}", {"rows": 3})


def test_the_manifest_is_written_last(artifacts, folder, store):
    artifacts.publish(manifest_of(folder), folder)
    assert store.order[-1] == f"shop/models/{'k' * 64}/manifest.json"


def test_a_folder_without_a_manifest_does_not_exist(artifacts, folder, store):
    store.capacity = 200
    with pytest.raises(StoreFull):
        artifacts.publish(manifest_of(folder), folder)
    assert store.list("shop/models") != []
    assert artifacts.find("shop", RefKind.MODEL, "k" * 64) is None


def test_the_loser_of_a_race_adopts_the_winners_manifest(artifacts, folder, tmp_path):
    won = artifacts.publish(manifest_of(folder, "first"), folder)
    (folder / "weights.bin").write_bytes(b"other")
    lost = artifacts.publish(manifest_of(folder, "second"), folder)
    assert lost == won
    assert artifacts.manifest(lost).attempt == "first"
    assert (artifacts.fetch(lost) / "weights.bin").read_bytes() != b"other"


def test_a_replaced_artifact_stays_whole_for_those_who_hold_its_reference(artifacts, folder):
    old = artifacts.publish(manifest_of(folder, "first"), folder)
    (folder / "weights.bin").write_bytes(b"other")
    new = artifacts.publish(manifest_of(folder, "second"), folder, replace=True)
    assert artifacts.find("shop", RefKind.MODEL, "k" * 64)[0] == new
    assert (artifacts.fetch(new) / "weights.bin").read_bytes() == b"other"
    assert (artifacts.fetch(old) / "weights.bin").read_bytes() != b"other"


@pytest.mark.parametrize("victim", ["weights.bin", "deep/notes.txt"])
def test_one_flipped_byte_in_the_store_is_refused(artifacts, folder, store, victim):
    ref = artifacts.publish(manifest_of(folder), folder)
    key = f"shop/models/{'k' * 64}/first/{victim}"
    store.put(key, flip(store.get(key)))
    with pytest.raises(ArtifactCorrupt, match=victim):
        artifacts.fetch(ref)


def test_one_flipped_byte_in_the_manifest_is_refused(artifacts, folder, store):
    ref = artifacts.publish(manifest_of(folder), folder)
    key = f"shop/models/{'k' * 64}/manifests/{ref.digest}.json"
    store.put(key, flip(store.get(key)))
    with pytest.raises(ArtifactCorrupt, match="manifest"):
        artifacts.fetch(ref)


def test_one_flipped_byte_in_the_local_cache_is_refused_once_and_then_fetched_anew(artifacts, folder):
    ref = artifacts.publish(manifest_of(folder), folder)
    cached = artifacts.fetch(ref) / "weights.bin"
    cached.write_bytes(flip(cached.read_bytes()))
    with pytest.raises(ArtifactCorrupt, match="local cache"):
        artifacts.fetch(ref)
    assert list_files(artifacts.fetch(ref)) == list_files(folder)


def test_a_file_that_vanished_from_the_store_is_refused(artifacts, folder, store):
    ref = artifacts.publish(manifest_of(folder), folder)
    store.delete(f"shop/models/{'k' * 64}/first/weights.bin")
    with pytest.raises(ArtifactCorrupt, match="lacks weights"):
        artifacts.fetch(ref)


def test_a_failed_fetch_leaves_no_folder_that_looks_fetched(artifacts, folder, store, tmp_path):
    ref = artifacts.publish(manifest_of(folder), folder)
    store.delete(f"shop/models/{'k' * 64}/first/weights.bin")
    with pytest.raises(ArtifactCorrupt):
        artifacts.fetch(ref)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_reference_into_another_store_is_refused(artifacts):
    with pytest.raises(PermanentError, match="not in this store"):
        artifacts.manifest(Ref(kind=RefKind.MODEL, uri="s3://elsewhere/shop/models/k", digest=digest_bytes(b"")))


def test_a_reference_to_nothing_is_refused(artifacts):
    with pytest.raises(PermanentError, match="does not exist"):
        artifacts.manifest(Ref(kind=RefKind.MODEL, uri="memory://store/shop/models/k", digest=digest_bytes(b"")))


def test_a_reference_of_another_kind_is_refused(artifacts, folder):
    ref = artifacts.publish(manifest_of(folder), folder)
    assert ref.expect(RefKind.MODEL) == ref
    with pytest.raises(PermanentError, match="passed as a package"):
        ref.expect(RefKind.PACKAGE)


def test_what_is_erased_is_gone_from_the_store_and_from_this_host_and_may_be_erased_again(artifacts, store, folder):
    ref = artifacts.publish(manifest_of(folder), folder)
    other = artifacts.publish(manifest_of(folder, key="o" * 64), folder)
    copy = artifacts.fetch(ref)
    for _ in range(2):
        artifacts.erase(ref)
    assert not copy.exists()
    assert artifacts.find("shop", RefKind.MODEL, "k" * 64) is None
    assert {key.split("/")[2] for key in store.list("shop/")} == {"o" * 64}
    assert artifacts.fetch(other).exists()


@pytest.fixture
def settled(store, tmp_path):
    """A store whose copies are settled as soon as they are there."""
    return ArtifactStore(store, tmp_path / "cache", settled_s=0)


@pytest.fixture
def data(settled, folder):
    """A data set that this host has verified, with its copy and the record of that."""
    ref = settled.publish(manifest_of(folder, kind=RefKind.DATASET), folder)
    copy = settled.fetch(ref)
    settled.fetch(ref)
    return ref, copy, copy.with_name(f"{ref.digest}.verified.json")


def believe(record, copy, path):
    """Make the record say that what stands at `path` now is what was verified."""
    seen, told = (copy / path).stat(), json.loads(record.read_text())
    told[path][1:] = [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
    record.write_text(json.dumps(told))


def spoil(path):
    """Other bytes in the same file, of the same size, with the time of before."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def replace(path):
    """Another file of the same size and time."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"\xff" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_data_that_was_verified_and_not_touched_is_believed_without_hashing(settled, data):
    ref, copy, record = data
    spoil(copy / "weights.bin")
    believe(record, copy, "weights.bin")
    assert settled.fetch(ref) == copy


@pytest.mark.parametrize("kind", [kind for kind in RefKind if kind not in (RefKind.PARTITION, RefKind.DATASET)])
def test_what_is_loaded_and_run_is_hashed_whatever_a_record_says(settled, folder, data, kind):
    _, _, record = data
    ref = settled.publish(manifest_of(folder, kind=kind), folder)
    copy = settled.fetch(ref)
    own = copy.with_name(f"{ref.digest}.verified.json")
    assert not own.exists()
    shutil.copy(record, own)
    spoil(copy / "weights.bin")
    believe(own, copy, "weights.bin")
    with pytest.raises(ArtifactCorrupt, match="local cache"):
        settled.fetch(ref)


@pytest.mark.parametrize("damage", [spoil, replace, truncate, Path.unlink])
def test_verified_data_that_changed_in_any_way_is_found(settled, folder, data, damage):
    ref, copy, _ = data
    damage(copy / "weights.bin")
    with pytest.raises(ArtifactCorrupt, match="local cache"):
        settled.fetch(ref)
    assert list_files(settled.fetch(ref)) == list_files(folder)


def test_a_copy_that_is_restored_from_a_backup_is_hashed_again(settled, data, tmp_path):
    ref, copy, _ = data
    shutil.copytree(copy, tmp_path / "backup")
    spoil(tmp_path / "backup" / "weights.bin")
    shutil.rmtree(copy)
    shutil.copytree(tmp_path / "backup", copy)
    with pytest.raises(ArtifactCorrupt, match="local cache"):
        settled.fetch(ref)


@pytest.mark.parametrize(
    "lie",
    [
        "",
        "[]",
        '{"weights.bin": 1}',
        '{"weights.bin": ["", 0, 0, 0, 0, 0]}',
        '{"weights.bin": [1, 2, 3, 4, 5, 6]}',
        '{"../../passwd": ["a", 0, 0, 0, 0, 0]}',
        "\ud800",
    ],
)
def test_a_record_that_cannot_be_right_is_not_believed(settled, data, lie):
    ref, copy, record = data
    spoil(copy / "weights.bin")
    record.write_text(lie, errors="surrogatepass")
    with pytest.raises(ArtifactCorrupt, match="local cache"):
        settled.fetch(ref)


def test_a_record_of_another_artifact_says_nothing_of_this_one(settled, folder, data):
    _, _, record = data
    (folder / "weights.bin").write_bytes(b"\x00\x01\x03" * 100)
    other = settled.publish(manifest_of(folder, key="o" * 64, kind=RefKind.DATASET), folder)
    copy = settled.fetch(other)
    own = copy.with_name(f"{other.digest}.verified.json")
    shutil.copy(record, own)
    spoil(copy / "weights.bin")
    believe(own, copy, "weights.bin")
    with pytest.raises(ArtifactCorrupt, match="local cache"):
        settled.fetch(other)


def test_a_file_that_changed_just_now_is_hashed_again(artifacts, folder, data):
    ref, copy, record = data
    record.unlink()
    artifacts.fetch(ref)
    assert not record.exists() or json.loads(record.read_text()) == {}
    assert copy.exists()


def test_two_fetches_at_once_leave_one_whole_record(settled, data):
    ref, copy, record = data
    expected = record.read_text()
    record.unlink()
    threads = [threading.Thread(target=settled.fetch, args=(ref,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert record.read_text() == expected
    assert not list(copy.parent.glob(".verified-*"))


def test_a_record_that_cannot_be_written_costs_nothing_but_hashing(settled, data):
    ref, copy, record = data
    record.unlink()
    record.mkdir()
    assert settled.fetch(ref) == copy
    assert not list(copy.parent.glob(".verified-*"))


def test_what_is_erased_leaves_no_record(settled, data):
    ref, _, record = data
    settled.erase(ref)
    assert not record.exists()
