"""Which objects of the store nothing needs any more: a pure rule over manifests, roots and time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from recflow.artifacts.ledger import Candidate, LedgerState, Served
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref


@dataclass(frozen=True)
class Shelf:
    """Everything stored under one stage key: `<recipe>/<kind>s/<key>`.

    `keys` are all objects below `prefix`, `manifests` the parsed ones by digest, `current` the digest of the one that
    is taken for a later equal run, empty when an attempt never got so far.
    """

    prefix: str
    keys: tuple[str, ...]
    current: str = ""
    manifests: Mapping[str, Manifest] = field(default_factory=dict)


def needed_by_releases(state: LedgerState) -> list[Ref]:
    """What serves, served before it, is on its way or waits: never garbage, nor anything it was made from."""
    models: list[Served | Candidate] = [served for served in (state.stable, state.previous) if served]
    candidates = [c for c in (state.release.candidate if state.release else None, state.waiting) if c]
    models += candidates
    refs = [ref for model in models for ref in (model.package, model.checkpoint)]
    refs += [candidate.decision for candidate in candidates]
    refs += [state.release.differences] if state.release else []
    return [ref for ref in refs if ref is not None]


def garbage(shelves: Iterable[Shelf], roots: Iterable[Ref], *, made_after: datetime) -> list[str]:
    """Keys of attempts without a kept manifest, and of artifacts that are old and that nothing kept was made from.

    Kept are the roots, what was made after `made_after`, and all inputs of what is kept. In the order in which they
    may be deleted: what makes an artifact findable first, so that an interruption leaves only more garbage.
    """
    shelves = list(shelves)
    known = {digest: manifest for shelf in shelves for digest, manifest in shelf.manifests.items()}
    young = {digest for digest, manifest in known.items() if manifest.created_at > made_after}
    kept = _closure({*young, *(ref.digest for ref in roots)}, known)
    return [key for shelf in shelves for key in _unneeded(shelf, kept)]


def _closure(digests: set[str], known: Mapping[str, Manifest]) -> set[str]:
    """The digests and those of everything that they were made from."""
    kept: set[str] = set()
    open_ends = digests & known.keys()
    while open_ends:
        kept |= open_ends
        inputs = {ref.digest for digest in open_ends for refs in known[digest].inputs.values() for ref in refs}
        open_ends = (inputs & known.keys()) - kept
    return kept


def _unneeded(shelf: Shelf, kept: set[str]) -> list[str]:
    needed = {f"{shelf.prefix}/manifest.json"} if shelf.current in kept else set()
    folders = []
    for digest in shelf.manifests.keys() & kept:
        needed.add(f"{shelf.prefix}/manifests/{digest}.json")
        folders.append(f"{shelf.prefix}/{shelf.manifests[digest].attempt}/")
    unneeded = [key for key in shelf.keys if key not in needed and not key.startswith(tuple(folders))]
    return sorted(unneeded, key=lambda key: (not key.endswith("/manifest.json"), "/manifests/" not in key, key))
