import threading
from pathlib import Path

from recflow.errors import PermanentError, StoreFull, StoreUnavailable


class MemoryStore:
    """An object store in a dictionary. `capacity` in bytes; while `down` is set nothing answers."""

    def __init__(self, root: str = "memory://store", capacity: int | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.capacity, self.down = capacity, False
        self._root, self._lock = root, threading.Lock()

    @property
    def root(self) -> str:
        return self._root

    def put(self, key: str, data: bytes | Path, *, if_absent: bool = False) -> bool:
        self._answer(key)
        if any(part in {"", ".", ".."} for part in key.split("/")):
            raise PermanentError(f"key {key!r} is no name of an object")
        content = data.read_bytes() if isinstance(data, Path) else data
        with self._lock:
            if if_absent and key in self.objects:
                return False
            used = sum(len(value) for name, value in self.objects.items() if name != key)
            if self.capacity is not None and used + len(content) > self.capacity:
                raise StoreFull(f"{key} was not stored", expected="free space", seen=f"{self.capacity} bytes")
            self.objects[key] = content
            return True

    def get(self, key: str) -> bytes | None:
        self._answer(key)
        return self.objects.get(key)

    def download(self, key: str, target: Path) -> bool:
        data = self.get(key)
        if data is not None:
            target.write_bytes(data)
        return data is not None

    def list(self, prefix: str, *, limit: int | None = None) -> list[str]:
        self._answer(prefix)
        return sorted(key for key in self.objects.copy() if key.startswith(prefix))[:limit]

    def delete(self, key: str) -> None:
        self._answer(key)
        self.objects.pop(key, None)

    def _answer(self, key: str) -> None:
        if self.down:
            raise StoreUnavailable(f"{key} was not reached", expected="an answer", seen="none")
