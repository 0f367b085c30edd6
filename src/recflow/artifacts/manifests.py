"""Manifests: the last object written of an artifact; without it the artifact does not exist."""

from datetime import datetime
from typing import Literal

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.refs import Numbers, Ref, RefKind


class FileEntry(Frozen):
    """One file of an artifact: path inside it, size in bytes, SHA-256."""

    path: str
    size_bytes: int
    sha256: str


class Interval(Frozen):
    """A half-open data interval [start, end); its label is the local date of its start."""

    label: str
    start: datetime
    end: datetime


class Manifest(Frozen):
    """What an artifact is made of and what it was made from.

    `attempt` names the sub-folder that won; other attempts of the same `key` are garbage. `reusable` is False for
    inconclusive results, which are never taken instead of a new run.
    """

    schema_version: Literal[1] = 1
    kind: RefKind
    recipe: str
    stage: str
    stage_version: int
    key: str
    attempt: str
    interval: Interval
    inputs: dict[str, tuple[Ref, ...]]
    files: tuple[FileEntry, ...]
    numbers: Numbers
    reusable: bool
    created_at: datetime
    fresh_reason: str = ""
