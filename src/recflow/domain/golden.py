"""Golden requests: what a package must answer, on any server, at any time."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recflow.domain.signatures import Signature, Tensors
from recflow.errors import ArtifactCorrupt

GOLDEN = "golden.json"


@dataclass(frozen=True)
class Golden:
    """One request with the answer that the package was published with, as named tensors."""

    inputs: Tensors
    outputs: Tensors

    def sized(self, signature: Signature, axis: str, size: int) -> "Golden":
        """The request with an axis of exactly `size`: its first ones, or all of them again and again."""
        return Golden(signature.resized(self.inputs, axis, size), signature.resized(self.outputs, axis, size))

    def at_most(self, signature: Signature, axis: str, size: int) -> "Golden":
        """The request for the first ones of an axis; as it is where there are fewer, and without an axis."""
        length = signature.lengths(self.inputs).get(axis, 0)
        return self.sized(signature, axis, size) if length > size else self


def read_golden(package: Path, read: Callable[[Mapping[str, Any]], Golden]) -> tuple[Golden, ...]:
    """The golden requests of a package folder, each as its task reads it; ArtifactCorrupt when there are none."""
    try:
        requests = tuple(map(read, json.loads((package / GOLDEN).read_bytes())))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:  # of what is no golden request
        seen = f"{type(error).__name__}: {error}"
        raise ArtifactCorrupt(f"{GOLDEN} of a package cannot be read", expected="requests", seen=seen) from error
    if not requests:
        raise ArtifactCorrupt(f"{GOLDEN} of a package is empty", expected="at least one request", seen="none")
    return requests
