"""Triton behind two seams: loading and checking (ModelServer) and the gateway's requests (AsyncScorer).

What Triton says is not believed here: that a load succeeded, that a model is ready (it says so while a process of it is
dead), that an unload has ended, that outputs are what config.pbtxt says, and how many requests failed (it counts most
failures as successes). The first two are confirmed by real inferences, every answer is held against the signature that
the model's configuration states, and errors are counted by the gateway.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient import grpc
from tritonclient.grpc import aio, model_config_pb2
from tritonclient.utils import InferenceServerException

from recflow.clients.triton_home import TritonHome, missing_parts
from recflow.config.settings import Settings
from recflow.domain.signatures import Signature, Tensor, Tensors
from recflow.errors import AnswerMalformed, BadConfiguration, ModelWontLoad, ServerUnavailable

_LOAD_TIMEOUT_S = 120.0
_CONTROL_TIMEOUT_S = 5.0
_UNLOAD_TIMEOUT_S = 20.0
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
            signature = _stated(rpc.get_model_config(name, client_timeout=_CONTROL_TIMEOUT_S))
            rpc.infer(name, _inputs(signature, signature.probe()), client_timeout=_CONTROL_TIMEOUT_S)
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
        self._signatures: dict[str, Signature] = {}

    def load(self, recipe: str, version: str, package: Path) -> None:
        """Install and load a package; returns when it answers. What is loaded but does not answer is loaded again.

        A version that answers by one process of several is left to the supervisor, which mends it while it serves.
        """
        name = model_name(recipe, version)
        self._signatures.pop(name, None)
        _refuse_incomplete(name, package)
        with self._home.locked("load"):
            if self._answers(name):
                return
            self._home.install(package, name)
            try:
                self._rpc.load_model(name, client_timeout=_LOAD_TIMEOUT_S)
                self._probe(name, _LOAD_TIMEOUT_S)
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

    def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        """The answer; ServerUnavailable on time-out or without one, AnswerMalformed for one that is none."""
        name = model_name(recipe, version)
        with _unavailable(name):
            if name not in self._signatures:
                self._signatures[name] = self._signature(name)
            return self._infer(name, self._signatures[name], inputs, timeout_s)

    def memory_mb(self) -> float:
        """Resident memory in MiB; ServerUnavailable when no process of this server runs on this host."""
        processes = self._home.processes()
        if not processes:
            raise ServerUnavailable("Triton's memory cannot be read", expected="a server on this host", seen="none")
        return sum(process.memory_info().rss for process in processes) / 2**20

    def _signature(self, name: str) -> Signature:
        return _stated(self._rpc.get_model_config(name, client_timeout=_CONTROL_TIMEOUT_S))

    def _probe(self, name: str, timeout_s: float) -> None:
        signature = self._signature(name)
        self._infer(name, signature, signature.probe(), timeout_s)

    def _infer(self, name: str, signature: Signature, inputs: Tensors, timeout_s: float) -> dict[str, np.ndarray]:
        lengths = signature.lengths(inputs)
        result = self._rpc.infer(name, _inputs(signature, inputs), client_timeout=timeout_s)
        return _outputs(name, signature, lengths, result)

    def _answers(self, name: str) -> bool:
        """Probed more often than there are instances: of two, a dead one fails every second probe."""
        return any(self._answers_once(name) for _ in range(self._home.instances(name) + 1))

    def _answers_once(self, name: str) -> bool:
        try:
            self._probe(name, _CONTROL_TIMEOUT_S)
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
        self._signatures: dict[str, Signature] = {}

    async def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        """The answer; ServerUnavailable on time-out or without one, AnswerMalformed for one that is none."""
        if self._rpc is None:
            self._rpc = aio.InferenceServerClient(self._address, channel_args=_CHANNEL)
        name = model_name(recipe, version)
        with _unavailable(name):
            if name not in self._signatures:  # a version's name holds its package's digest: it never states another one
                self._signatures[name] = _stated(await self._rpc.get_model_config(name, client_timeout=timeout_s))
            signature = self._signatures[name]
            lengths = signature.lengths(inputs)
            result = await self._rpc.infer(name, _inputs(signature, inputs), client_timeout=timeout_s)
        return _outputs(name, signature, lengths, result)

    async def close(self) -> None:
        """Close the channel."""
        if self._rpc is not None:
            await self._rpc.close()
            self._rpc = None


def _refuse_incomplete(name: str, package: Path) -> None:
    """Triton never answers the load of such a folder, so that is found out here."""
    if missing := missing_parts(package):
        raise ModelWontLoad(f"the package of {name} is incomplete", expected="a whole package", seen=f"no {missing[0]}")


def _stated(response: Any) -> Signature:
    """The signature that a model's configuration states.

    Those of packaging versions before 5 state only Triton's part of it, in which no axis has a name: all their tensors
    are of one length.
    """
    config = response.config
    if stated := config.parameters["signature"].string_value:
        return Signature.model_validate_json(stated)
    return Signature(inputs=tuple(map(_tensor, config.input)), outputs=tuple(map(_tensor, config.output)))


def _tensor(stated: Any) -> Tensor:
    datatype = model_config_pb2.DataType.Name(stated.data_type).removeprefix("TYPE_").replace("STRING", "BYTES")
    return Tensor(name=stated.name, datatype=datatype, dims=tuple("any" if dim < 0 else dim for dim in stated.dims))


def _inputs(signature: Signature, inputs: Tensors) -> list[Any]:
    found = []
    for tensor in signature.inputs:
        array = inputs[tensor.name][np.newaxis]
        found.append(grpc.InferInput(tensor.name, list(array.shape), tensor.datatype))
        found[-1].set_data_from_numpy(array)
    return found


def _outputs(name: str, signature: Signature, lengths: Mapping[str, int], result: Any) -> dict[str, np.ndarray]:
    arrays = {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}
    # An answer without its batch axis stays as it is, with an axis too many or too few.
    outputs = {key: array[0] if array.shape[:1] == (1,) else array[np.newaxis] for key, array in arrays.items()}
    signature.refuse_malformed(name, lengths, outputs)
    return outputs


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
