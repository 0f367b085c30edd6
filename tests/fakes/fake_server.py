from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fakes import relevance
from fakes.fake_clock import FakeClock
from fakes.triton_backend import Request, load_model
from recflow.domain.signatures import Tensors
from recflow.errors import ModelWontLoad, ServerUnavailable
from recflow.protocols import ModelServer
from recflow.tasks.base import read_signature

Scores = Callable[[str, Sequence[Any]], Sequence[float]]


class Crash(BaseException):
    """The process ends here, as at a kill."""


@dataclass
class FakeModelServer:
    """A model server in memory, scripted by its fields; it runs the packages' own code unless `scores` says otherwise.

    `scores` are scripts of relevance: (query, items) to one score an item.

    `latency_s` by version turns the clock at each request. `crash_points` are `<method>:before` and `<method>:after`;
    each is met once. `broken` versions answer nothing although they are loaded; `down` is the whole server.
    """

    clock: FakeClock | None = None
    scores: dict[str, Scores] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    latency_s: dict[str, float] = field(default_factory=dict)
    load_s: float = 0.0
    version_mb: dict[str, float] = field(default_factory=dict)
    crash_points: set[str] = field(default_factory=set)
    down: bool = False
    packages: dict[tuple[str, str], Path] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    _models: dict[tuple[str, str], Any] = field(default_factory=dict)

    def load(self, recipe: str, version: str, package: Path) -> None:
        self._call("load", version)
        self._tick(self.load_s)
        if version in self.refuse or not (package / "1" / "model.py").exists():
            raise ModelWontLoad(f"the fake refused {version}", seen=self.refuse.get(version, "no model.py"))
        self.packages[recipe, version] = package
        self._crash("load:after")

    def unload(self, recipe: str, version: str) -> None:
        self._call("unload", version)
        self.packages.pop((recipe, version), None)
        self._models.pop((recipe, version), None)
        self._crash("unload:after")

    def loaded(self, recipe: str) -> tuple[str, ...]:
        self._call("loaded", "")
        return tuple(sorted(v for name, v in self.packages if name == recipe and v not in self.broken))

    def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        self._call("infer", version)
        if (recipe, version) not in self.packages or version in self.broken:
            raise ServerUnavailable(f"{recipe} {version} does not answer")
        self._tick(min(timeout_s, self.latency_s.get(version, 0.0)))
        if self.latency_s.get(version, 0.0) >= timeout_s:
            raise ServerUnavailable(f"{recipe} {version} took longer than {timeout_s} s")
        signature = read_signature(self.packages[recipe, version]) or relevance.SERVING.signature
        lengths = signature.lengths(inputs)
        outputs = self._answer(recipe, version, inputs)
        signature.refuse_malformed(version, lengths, outputs)
        return outputs

    def _answer(self, recipe: str, version: str, inputs: Tensors) -> dict[str, np.ndarray]:
        if version in self.scores:
            return relevance.answer(self.scores[version](*relevance.asked(inputs)))
        if (recipe, version) not in self._models:
            self._models[recipe, version] = load_model(self.packages[recipe, version])
        try:
            [given] = self._models[recipe, version].execute([Request({name: a[None] for name, a in inputs.items()})])
        except Exception as error:
            raise ServerUnavailable(f"{recipe} {version} failed: {error}") from error
        return {tensor.name: tensor.data[0] for tensor in given.output_tensors}

    def memory_mb(self) -> float:
        self._call("memory_mb", "")
        return 40.0 + sum(self.version_mb.get(version, 100.0) for _, version in self.packages)

    def _call(self, method: str, version: str) -> None:
        self.calls.append((method, version))
        self._crash(f"{method}:before")
        if self.down:
            raise ServerUnavailable("the fake server is down")

    def _crash(self, point: str) -> None:
        if point in self.crash_points:
            self.crash_points.remove(point)
            raise Crash(point)

    def _tick(self, seconds: float) -> None:
        if self.clock and seconds:
            self.clock.tick(seconds)


@dataclass
class FakeScorer:
    """The gateway's side of a FakeModelServer."""

    server: FakeModelServer | ModelServer

    async def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        return self.server.infer(recipe, version, inputs, timeout_s=timeout_s)
