"""Artifacts as folders over any object store: published whole or not at all, verified on every read."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from recflow.artifacts.digests import digest_bytes, digest_file
from recflow.artifacts.manifests import FileEntry, Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.errors import ArtifactCorrupt, PermanentError
from recflow.protocols import ObjectStore

MANIFEST = "manifest.json"

# Data, which is read over and over and large. Whatever is loaded and run is hashed each time that it is fetched.
_TRUSTED_AGAIN = frozenset({RefKind.PARTITION, RefKind.DATASET})
# Of each file: the digest that it had, and its device, inode, size, and times of its content and of its inode.
_Verified = dict[str, tuple[str, int, int, int, int, int]]
_VERIFIED = TypeAdapter(_Verified)


class ArtifactStore:
    """Publishes and fetches folder artifacts. Local copies are kept in `cache`, named by digest.

    A file that changed less than `settled_s` ago may change again within one tick of its file system's clock, and is
    hashed the next time as well.
    """

    def __init__(self, store: ObjectStore, cache: Path, *, settled_s: float = 2.0) -> None:
        self.store = store
        self._cache, self._settled_ns = cache, int(settled_s * 1e9)

    def find(self, recipe: str, kind: RefKind, key: str) -> tuple[Ref, Manifest] | None:
        """The published artifact of a stage key, None when there is none."""
        prefix = f"{recipe}/{kind.folder}/{key}"
        data = self.store.get(f"{prefix}/{MANIFEST}")
        return None if data is None else self._parse(prefix, data)

    def publish(self, manifest: Manifest, folder: Path, *, replace: bool = False) -> Ref:
        """Store the folder's files under the attempt, then the manifest; a loser of the race gets the winner's ref.

        `manifest.files` must list the folder (`list_files`). With `replace` the manifest supersedes an older one, whose
        references stay good: each manifest is also kept under its digest.
        """
        prefix = f"{manifest.recipe}/{manifest.kind.folder}/{manifest.key}"
        for entry in manifest.files:
            self.store.put(f"{prefix}/{manifest.attempt}/{entry.path}", folder / entry.path)
        data = manifest.model_dump_json().encode()
        self.store.put(_by_digest(prefix, digest_bytes(data)), data)
        if self.store.put(f"{prefix}/{MANIFEST}", data, if_absent=not replace):
            return self._parse(prefix, data)[0]
        winner = self.find(manifest.recipe, manifest.kind, manifest.key)
        assert winner is not None
        return winner[0]

    def manifest(self, ref: Ref) -> Manifest:
        """The manifest that a reference names; ArtifactCorrupt when its bytes have another digest."""
        data = self.store.get(_by_digest(self._prefix(ref), ref.digest))
        if data is None:
            raise PermanentError(f"{ref.uri} does not exist", expected=f"manifest {ref.short}", seen="nothing")
        if digest_bytes(data) != ref.digest:
            raise ArtifactCorrupt(f"the manifest of {ref.uri} changed", expected=ref.digest, seen=digest_bytes(data))
        return Manifest.model_validate_json(data)

    def fetch(self, ref: Ref) -> Path:
        """A local folder with the artifact's files, every one verified; fetched once a digest.

        Files of partitions and data sets that this host has verified, and that nobody has touched since, are not
        hashed again.
        """
        target = self._cache / ref.digest
        manifest = self.manifest(ref)
        if target.exists():
            self._verify(ref, manifest.files, target)
            os.utime(target)  # housekeeping removes copies that were not used for days
            return target
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".fetch-") as scratch:
            folder = Path(scratch) / "files"
            self._download(ref, manifest, folder)
            self._verify(ref, manifest.files, folder)
            _move_unless_taken(folder, target)
        return target

    def erase(self, ref: Ref) -> None:
        """Delete the artifact's files and manifests, in the store and from this host's cache; erasing twice is fine."""
        for key in self.store.list(f"{self._prefix(ref)}/"):
            self.store.delete(key)
        self._record(ref).unlink(missing_ok=True)
        shutil.rmtree(self._cache / ref.digest, ignore_errors=True)

    def read(self, ref: Ref, path: str) -> bytes | None:
        """One verified file of an artifact, without the others; None when the artifact has no such file."""
        manifest = self.manifest(ref)
        entry = next((entry for entry in manifest.files if entry.path == path), None)
        if entry is None:
            return None
        data = self.store.get(f"{self._prefix(ref)}/{manifest.attempt}/{path}")
        seen = "no object" if data is None else digest_bytes(data)
        if seen != entry.sha256:
            raise ArtifactCorrupt(f"{ref.uri} file {path} changed", expected=entry.sha256, seen=seen)
        return data

    def _download(self, ref: Ref, manifest: Manifest, folder: Path) -> None:
        folder.mkdir()
        for entry in manifest.files:
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.store.download(f"{self._prefix(ref)}/{manifest.attempt}/{entry.path}", path):
                raise ArtifactCorrupt(f"{ref.uri} lacks {entry.path}", expected=entry.sha256, seen="no object")

    def _verify(self, ref: Ref, files: Iterable[FileEntry], folder: Path) -> None:
        known = _read_verified(self._record(ref)) if ref.kind in _TRUSTED_AGAIN else {}
        verified: _Verified = {}
        for entry in files:
            path = folder / entry.path
            began_ns, before = time.time_ns(), _identity(path)
            stamp = (entry.sha256, *before)
            if known.get(entry.path) != stamp:
                seen = digest_file(path) if path.exists() else "no file"
                if seen != entry.sha256:
                    self._refuse(ref, entry, seen, folder)
                if before != _identity(path) or before[-1] >= began_ns - self._settled_ns:
                    continue
            verified[entry.path] = stamp
        if ref.kind in _TRUSTED_AGAIN and verified != known:
            _write_verified(self._record(ref), verified)

    def _refuse(self, ref: Ref, entry: FileEntry, seen: str, folder: Path) -> None:
        if folder != self._cache / ref.digest:
            raise ArtifactCorrupt(f"{ref.uri} file {entry.path} changed", expected=entry.sha256, seen=seen)
        shutil.rmtree(folder)
        raise ArtifactCorrupt(
            f"the copy of {ref.uri} in the local cache changed at {entry.path}",
            expected=entry.sha256,
            seen=seen,
            then="the copy is removed, and fetched anew the next time",
            action="clear the task; look at this host's disk",
        )

    def _record(self, ref: Ref) -> Path:
        """Which files of a copy this host has verified; beside the copy, so that it is no file of the artifact."""
        return self._cache / f"{ref.digest}.verified.json"

    def _prefix(self, ref: Ref) -> str:
        root = f"{self.store.root}/"
        if not ref.uri.startswith(root):
            raise PermanentError(f"{ref.uri} is not in this store", expected=f"below {root}", seen=ref.uri)
        return ref.uri.removeprefix(root)

    def _parse(self, prefix: str, data: bytes) -> tuple[Ref, Manifest]:
        manifest = Manifest.model_validate_json(data)
        uri = f"{self.store.root}/{prefix}"
        return Ref(kind=manifest.kind, uri=uri, digest=digest_bytes(data), numbers=manifest.numbers), manifest


def _by_digest(prefix: str, digest: str) -> str:
    return f"{prefix}/manifests/{digest}.json"


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Every file below a folder, in path order, with size and digest."""
    return tuple(
        FileEntry(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=digest_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def _move_unless_taken(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():
            raise


def _identity(path: Path) -> tuple[int, int, int, int, int]:
    """What changes when a file is written, replaced or restored, whatever time its content is given; zeros without one.

    No program can set the time of the inode.
    """
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0, 0, 0, 0
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _read_verified(record: Path) -> _Verified:
    """The record; empty where there is none, or one that cannot be read: then everything is hashed."""
    with suppress(OSError, ValidationError):
        return _VERIFIED.validate_json(record.read_bytes(), strict=True)
    return {}


def _write_verified(record: Path, verified: _Verified) -> None:
    """Write the record at once and whole. One that cannot be written costs hashing again, nothing else."""
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=record.parent, prefix=".verified-", delete=False) as file:
        try:
            file.write(_VERIFIED.dump_json(verified))
            file.close()
            Path(file.name).replace(record)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
