"""An object store that is read and not written: what is put goes to another one, beside it."""

from pathlib import Path

from recflow.protocols import ObjectStore


class ScratchStore:
    """The objects of `real`, and over them those of `scratch`, which takes all that is put; deleting reaches no other.

    Whoever computes over it leaves nothing behind once `scratch` is gone.
    """

    def __init__(self, real: ObjectStore, scratch: ObjectStore) -> None:
        self._real, self._scratch = real, scratch

    @property
    def root(self) -> str:
        """The real store's, so that its references are good here."""
        return self._real.root

    def put(self, key: str, data: bytes | Path, *, if_absent: bool = False) -> bool:
        """Store bytes or a file in `scratch`; see ObjectStore."""
        if if_absent and self._real.get(key) is not None:
            return False
        return self._scratch.put(key, data, if_absent=if_absent)

    def get(self, key: str) -> bytes | None:
        """The whole object, None when neither has it."""
        found = self._scratch.get(key)
        return self._real.get(key) if found is None else found

    def download(self, key: str, target: Path) -> bool:
        """Copy an object into a file; False when neither has it."""
        return self._scratch.download(key, target) or self._real.download(key, target)

    def list(self, prefix: str, *, limit: int | None = None) -> list[str]:
        """Keys of both that start with `prefix`, in ascending order, at most `limit`."""
        keys = {*self._real.list(prefix, limit=limit), *self._scratch.list(prefix, limit=limit)}
        return sorted(keys)[:limit]

    def delete(self, key: str) -> None:
        """Remove what was put here; removing what is absent is fine."""
        self._scratch.delete(key)
