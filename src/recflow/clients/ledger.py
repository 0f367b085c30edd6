"""The ledger on any object store: one object an entry, created only if absent, newest first in a listing.

Idempotence: a caller that lost the answer of an append (a crash, StoreUnavailable) does not append blindly again. It
reads the head, finds its own event there or not, and decides afresh; whoever comes second meets LedgerConflict or
ReleaseRefused, never a second copy of the event.
"""

import json
from collections.abc import Iterator

from recflow.artifacts.digests import canonical_json, digest_json
from recflow.artifacts.ledger import GENESIS_HASH, LedgerEntry, LedgerEvent, LedgerState
from recflow.domain.releases import fold
from recflow.errors import ArtifactCorrupt, LedgerConflict, ReleaseRefused
from recflow.protocols import Clock, ObjectStore

_LAST = 10**12 - 1


class ObjectLedger:
    """Entry n stands under `<recipe>/ledger/<10**12 - 1 - n>.json`, beside its own hash under `hash`."""

    def __init__(self, store: ObjectStore, clock: Clock, actor: str = "recflow") -> None:
        self._store, self._clock, self._actor = store, clock, actor

    def head(self, recipe: str) -> LedgerEntry | None:
        """The newest entry: one list, one get."""
        keys = self._store.list(_folder(recipe), limit=1)
        return self._read(recipe, keys[0]) if keys else None

    def append(self, recipe: str, event: LedgerEvent, *, after: LedgerEntry | None, actor: str = "") -> LedgerEntry:
        """Append `event` after the entry the caller has read; see Ledger."""
        if after is not None and after.recipe != recipe:
            raise ReleaseRefused(f"an event of {recipe} was appended elsewhere", expected=recipe, seen=after.recipe)
        entry = self._next(recipe, event, after, actor or self._actor)
        body = entry.model_dump(mode="json")
        if not self._store.put(_key(recipe, entry.seq), canonical_json({**body, "hash": entry.hash}), if_absent=True):
            raise LedgerConflict(
                f"entry {entry.seq} of {recipe} ({event.kind}) was not appended",
                expected=f"{entry.seq - 1} entries",
                seen=f"entry {entry.seq} by another writer",
            )
        return entry

    def _next(self, recipe: str, event: LedgerEvent, after: LedgerEntry | None, actor: str) -> LedgerEntry:
        seq = after.seq + 1 if after else 1
        # A clock that was set back must not put an entry before the one it follows.
        at = max(self._clock.now(), after.at) if after else self._clock.now()
        entry = LedgerEntry(
            recipe=recipe,
            seq=seq,
            at=at,
            actor=actor,
            event=event,
            state=fold(after.state if after else LedgerState(), event, seq=seq, at=at),
            prev_hash=after.hash if after else GENESIS_HASH,
        )
        # Read back from JSON, because the next hash is taken from what a reader will see.
        return LedgerEntry.model_validate_json(entry.model_dump_json())

    def entries(self, recipe: str) -> Iterator[LedgerEntry]:
        """All entries, newest first; ArtifactCorrupt at the first that does not fit its successor."""
        successor: LedgerEntry | None = None
        for key in self._store.list(_folder(recipe)):
            entry = self._read(recipe, key)
            if successor is not None and (successor.seq != entry.seq + 1 or successor.prev_hash != entry.hash):
                raise _corrupt(self._store, key, f"entry {successor.seq - 1} with {successor.prev_hash}", entry.hash)
            yield entry
            successor = entry
        if successor is not None and (successor.seq != 1 or successor.prev_hash != GENESIS_HASH):
            raise _corrupt(self._store, _key(recipe, 1), "a first entry", f"nothing before entry {successor.seq}")

    def _read(self, recipe: str, key: str) -> LedgerEntry:
        data = self._store.get(key)
        try:
            body = json.loads(data or b"")
            stored = body.pop("hash")
            entry = LedgerEntry.model_validate(body)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise _corrupt(self._store, key, "a ledger entry", str(error)) from error
        if digest_json(body) != stored or _key(recipe, entry.seq) != key or entry.recipe != recipe:
            raise _corrupt(self._store, key, f"{stored} as entry {entry.seq}", digest_json(body))
        return entry


def _folder(recipe: str) -> str:
    return f"{recipe}/ledger/"


def _key(recipe: str, seq: int) -> str:
    return f"{_folder(recipe)}{_LAST - seq:012d}.json"


def _corrupt(store: ObjectStore, key: str, expected: str, seen: str) -> ArtifactCorrupt:
    return ArtifactCorrupt(
        f"the ledger is broken at {store.root}/{key}",
        expected=expected,
        seen=seen,
        then="gateways keep the last routes they know; no release advances",
        action="restore this object from the store's versions or backup; never edit it by hand",
    )
