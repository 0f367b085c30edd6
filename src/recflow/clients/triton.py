"""Triton behind two seams: loading and checking (ModelServer) and the gateway's scoring (AsyncScorer).

What Triton says is not believed here: that a load succeeded, that a model is ready (it says so while a process of it is
dead), that an unload has ended, that outputs are what config.pbtxt says, and how many requests failed (it counts most
failures as successes). The first two are confirmed by real inferences, every answer is held against what was asked
for, and errors are counted by the gateway.
"""

import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient import grpc
from tritonclient.grpc import aio
from tritonclient.utils import InferenceServerException

from recflow.clients.triton_home import TritonHome, missing_parts
from recflow.config.settings import Settings
from recflow.errors import AnswerMalformed, BadConfiguration, ModelWontLoad, ServerUnavailable
from recflow.protocols import RankItem

_LOAD_TIMEOUT_S = 120.0
_CONTROL_TIMEOUT_S = 5.0
_UNLOAD_TIMEOUT_S = 20.0
_PROBE = (RankItem("probe", "probe"),)
# A load right after a failed one has crashed the server (3 of 58); with a pause it never did.
_PAUSE_AFTER_FAILURE_S = 0.5
# gRPC's own reconnect back-off grows to two minutes: a restarted server would go unnoticed for as long. And a channel
# with options of its own refuses answers over 4 MiB.
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
]
_UNHEALTHY = "is not healthy"  # how Triton words that a model process is dead or hangs
_VERSION = re.compile(r"[0-9A-Za-z]+(-[0-9A-Za-z]+)*")
_SILENT = frozenset({"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED"})


def model_name(recipe: str, version: str) -> str:
    """Triton's name of a version: one model name each, so that versions load, fail and go independently."""
    if not _VERSION.fullmatch(version):
        raise BadConfiguration(
            f"version {version[:80]!r} of {recipe} cannot be served", expected="letters, digits, dashes", seen=version
        )
    return f"{recipe}__{version.replace('-', '_')}"


def connect(address: str) -> Any:
    """A blocking gRPC client that notices a restarted server within half a second."""
    return grpc.InferenceServerClient(address, channel_args=_CHANNEL)


def is_wounded(rpc: Any, name: str, instances: int) -> bool:
    """Whether a process of a model is dead or hangs, however well the others answer.

    Idle instances take turns: twice as many probes as there are instances meet each of them twice. One failure alone
    is not believed, since a host without processor time to spare shows it too.
    """
    failures = 0
    for _ in range(2 * instances):
        try:
            rpc.infer(name, _inputs("probe", _PROBE), client_timeout=_CONTROL_TIMEOUT_S)
        except InferenceServerException as error:
            if _UNHEALTHY not in str(error):
                return False
            failures += 1
    return failures > 1


class TritonServer:
    """A Triton server whose repository is `<home>/triton/repository`. Loads are serialised between processes."""

    def __init__(self, settings: Settings) -> None:
        self._rpc = connect(settings.triton_grpc)
        self._home = TritonHome(settings.home)

    def load(self, recipe: str, version: str, package: Path) -> None:
        """Install and load a package; returns when it answers. What is loaded but does not answer is loaded again.

        A version that answers by one process of several is left to the supervisor, which mends it while it serves.
        """
        name = model_name(recipe, version)
        _refuse_incomplete(name, package)
        with self._home.locked("load"):
            if self._answers(name):
                return
            self._home.install(package, name)
            try:
                self._rpc.load_model(name, client_timeout=_LOAD_TIMEOUT_S)
                self._infer(name, "probe", _PROBE, _LOAD_TIMEOUT_S)
            except InferenceServerException as error:
                self._withdraw(name)
                raise _load_error(name, error) from error
            except AnswerMalformed as error:
                self._withdraw(name)
                raise ModelWontLoad(error.what, expected=error.expected, seen=error.seen) from error

    def unload(self, recipe: str, version: str) -> None:
        """Remove a version from the repository, then from memory; returns when its processes are gone as well."""
        name = model_name(recipe, version)
        with self._home.locked("load"), _unavailable(name):
            self._home.remove(name)
            self._rpc.unload_model(name, client_timeout=_CONTROL_TIMEOUT_S)
            deadline = time.monotonic() + _UNLOAD_TIMEOUT_S
            while name in {*self._ready(), *self._home.stubs()} and time.monotonic() < deadline:
                time.sleep(0.05)

    def loaded(self, recipe: str) -> tuple[str, ...]:
        """Versions that answer a real inference now, by one of their processes at least, in ascending order."""
        with _unavailable(recipe):
            names = [name for name in self._ready() if name.rpartition("__")[0] == recipe]
        return tuple(sorted(name.rpartition("__")[2].replace("_", "-") for name in names if self._answers(name)))

    def score(
        self, recipe: str, version: str, query: str, items: Sequence[RankItem], *, timeout_s: float
    ) -> tuple[float, ...]:
        """One score an item; ServerUnavailable on time-out or without an answer, AnswerMalformed for another one."""
        name = model_name(recipe, version)
        with _unavailable(name):
            return self._infer(name, query, items, timeout_s)

    def memory_mb(self) -> float:
        """Resident memory in MiB; ServerUnavailable when no process of this server runs on this host."""
        processes = self._home.processes()
        if not processes:
            raise ServerUnavailable("Triton's memory cannot be read", expected="a server on this host", seen="none")
        return sum(process.memory_info().rss for process in processes) / 2**20

    def _infer(self, name: str, query: str, items: Sequence[RankItem], timeout_s: float) -> tuple[float, ...]:
        if not items:
            return ()
        return _scores(name, self._rpc.infer(name, _inputs(query, items), client_timeout=timeout_s), items)

    def _answers(self, name: str) -> bool:
        """Probed more often than there are instances: of two, a dead one fails every second probe."""
        return any(self._answers_once(name) for _ in range(self._home.instances(name) + 1))

    def _answers_once(self, name: str) -> bool:
        try:
            self._infer(name, "probe", _PROBE, _CONTROL_TIMEOUT_S)
        except (InferenceServerException, AnswerMalformed):
            return False
        return True

    def _ready(self) -> list[str]:
        index = self._rpc.get_model_repository_index(client_timeout=_CONTROL_TIMEOUT_S)
        return [model.name for model in index.models if model.state == "READY"]

    def _withdraw(self, name: str) -> None:
        """Leave nothing of a failed load: what stays in the repository is loaded at the next restart."""
        self._home.remove(name)
        try:
            self._rpc.unload_model(name, client_timeout=_CONTROL_TIMEOUT_S)
        except InferenceServerException:
            return  # the server is gone, and the folder with it: nothing will bring the model back
        finally:
            time.sleep(_PAUSE_AFTER_FAILURE_S)


class TritonScorer:
    """The gateway's client: one channel of the running event loop, one round trip a request."""

    def __init__(self, settings: Settings) -> None:
        self._address = settings.triton_grpc
        self._rpc: Any = None

    async def score(
        self, recipe: str, version: str, query: str, items: Sequence[RankItem], *, timeout_s: float
    ) -> tuple[float, ...]:
        """One score an item; ServerUnavailable on time-out or without an answer, AnswerMalformed for another one."""
        if self._rpc is None:
            self._rpc = aio.InferenceServerClient(self._address, channel_args=_CHANNEL)
        if not items:
            return ()
        name = model_name(recipe, version)
        with _unavailable(name):
            return _scores(name, await self._rpc.infer(name, _inputs(query, items), client_timeout=timeout_s), items)

    async def close(self) -> None:
        """Close the channel."""
        if self._rpc is not None:
            await self._rpc.close()
            self._rpc = None


def _refuse_incomplete(name: str, package: Path) -> None:
    """Triton never answers the load of such a folder, so that is found out here."""
    if missing := missing_parts(package):
        raise ModelWontLoad(f"the package of {name} is incomplete", expected="a whole package", seen=f"no {missing[0]}")


def _inputs(query: str, items: Sequence[RankItem]) -> list[Any]:
    texts = {
        "QUERY": [query],
        "TITLE": [item.title for item in items],
        "DESCRIPTION": [item.description for item in items],
    }
    return [_tensor(name, values) for name, values in texts.items()]


def _tensor(name: str, values: list[str]) -> Any:
    # A lone surrogate is valid in JSON and has no UTF-8: it is replaced, a shopper's odd character is no failure.
    array = np.array([[value.encode(errors="replace") for value in values]], dtype=object)
    tensor = grpc.InferInput(name, list(array.shape), "BYTES")
    tensor.set_data_from_numpy(array)
    return tensor


def _scores(name: str, result: Any, items: Sequence[RankItem]) -> tuple[float, ...]:
    outputs = [(output.name, output.datatype, list(output.shape)) for output in result.get_response().outputs]
    expected = [("SCORE", "FP32", [1, len(items)])]
    if outputs != expected:
        raise AnswerMalformed(f"{name} answered wrongly", expected=str(expected), seen=str(outputs))
    scores = tuple(result.as_numpy("SCORE")[0].tolist())
    if strange := sum(not math.isfinite(score) for score in scores):
        raise AnswerMalformed(
            f"{name} answered wrongly", expected="numbers", seen=f"{strange} of {len(items)} are none"
        )
    return scores


@contextmanager
def _unavailable(name: str) -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        raise _silence(name, error) from error


def _silence(name: str, error: InferenceServerException) -> ServerUnavailable:
    return ServerUnavailable(f"Triton did not answer for {name}", expected="an answer in time", seen=str(error))


def _load_error(name: str, error: InferenceServerException) -> ModelWontLoad | ServerUnavailable:
    if error.status() in _SILENT:
        return _silence(name, error)
    return ModelWontLoad(f"Triton refused {name}", expected="a model that loads and answers", seen=str(error))
