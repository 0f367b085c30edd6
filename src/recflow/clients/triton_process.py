"""Starts one Triton server of the PyPI runtime and keeps it alive: `recflow triton up`.

A server that dies is started again after a pause that doubles up to 15 s, with every model of the repository. A model
process that dies or hangs is never restarted by Triton, which calls the model ready and goes on giving it its share of
the requests: it is found by counting and by probing, and the model is loaded anew while the others answer.
The server outlives a killed supervisor, so that shoppers are still served; the next start begins with a clean sweep.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from tritonclient.utils import InferenceServerException

from recflow.clients.triton import connect, is_wounded
from recflow.clients.triton_home import TritonHome, TritonState
from recflow.config.settings import Settings
from recflow.errors import BadConfiguration

_LOG = logging.getLogger(__name__)
_START_TIMEOUT_S = 120.0
_EXIT_TIMEOUT_S = 8  # in-flight requests end far sooner; a server that lost a model process always takes all of it
_LONGEST_PAUSE_S = 15.0
_HEALTHY_AFTER_S = 60.0
_LOOK_EVERY_S = 1.0
_DRAIN_S = 5.0
_SERVER = Path("tritonserver/pytriton/tritonserver")


class TritonSupervisor:
    """One Triton server below `<home>/triton`, until `stop` is called."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = TritonHome(settings.home)
        self._stopped = threading.Event()
        self._restarts = 0

    def stop(self) -> None:
        """Ask `run` to end; safe in a signal handler."""
        self._stopped.set()

    def run(self) -> None:
        """Serve until stopped; leaves no process and no shared memory.

        Raises BadConfiguration when another supervisor runs, a port is taken, the runtime is missing or will not start.
        """
        with self._home.locked("supervisor", wait=False) as mine:
            if not mine:
                raise BadConfiguration("Triton is up already", expected="one supervisor", seen=str(self._home.read()))
            command, environment = _command(self._settings, self._home), _environment(self._settings.triton_runtime)
            self._home.prepare()
            self._home.sweep()
            _refuse_taken_ports(self._settings)
            try:
                self._keep_alive(command, environment)
            finally:
                self._home.sweep()

    def _keep_alive(self, command: list[str], environment: dict[str, str]) -> None:
        failures = 0
        while not self._stopped.is_set():
            started = time.monotonic()
            server = self._start(command, environment)
            if self._becomes_ready(server):
                self._watch(server)
            elif self._restarts == 0 and not self._stopped.is_set():
                _end(server)
                raise BadConfiguration("Triton does not start", expected="a server", seen=self._home.log_tail())
            if self._stopped.is_set():
                _end(server)
                return
            failures = 0 if time.monotonic() - started > _HEALTHY_AFTER_S else failures + 1
            self._recover(server, min(2.0 ** (failures - 1), _LONGEST_PAUSE_S))

    def _start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        for name in self._home.set_aside_incomplete():
            _LOG.error("%s is no whole package: it is not loaded, and kept in %s/set_aside", name, self._home.root)
        with self._home.fresh_log() as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self._record(server, ready=False)
        return server

    def _becomes_ready(self, server: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        with connect(self._settings.triton_grpc) as rpc:
            while server.poll() is None and not self._stopped.is_set() and time.monotonic() < deadline:
                with contextlib.suppress(InferenceServerException):
                    if rpc.is_server_live(client_timeout=1.0):
                        self._record(server, ready=True)
                        _LOG.info("Triton %d answers at %s", server.pid, self._settings.triton_grpc)
                        return True
                self._stopped.wait(0.1)
        return False

    def _watch(self, server: subprocess.Popen[bytes]) -> None:
        with connect(self._settings.triton_grpc) as rpc:
            while server.poll() is None and not self._stopped.wait(_LOOK_EVERY_S):
                if self._wounded(rpc):
                    self._revive(rpc)

    def _wounded(self, rpc: Any) -> list[str]:
        """Models of the repository with fewer living processes than they should have, or with one that hangs."""
        stubs, names = self._home.stubs(), [folder.name for folder in self._home.repository.iterdir()]
        due = {name: self._home.instances(name) for name in names}
        return [name for name in names if len(stubs.get(name, ())) < due[name] or is_wounded(rpc, name, due[name])]

    def _revive(self, rpc: Any) -> None:
        """Load again what Triton calls ready although a process of it is dead; a load under way is left alone."""
        with self._home.locked("load", wait=False) as mine:
            if not mine:
                return
            try:
                for name in self._wounded(rpc):
                    self._load_again(rpc, name)
            except (InferenceServerException, OSError) as error:
                _LOG.warning("a model could not be revived and is tried again: %s", error)

    def _load_again(self, rpc: Any, name: str) -> None:
        """Triton takes the new processes before it lets the old ones go, and never ends those of a wounded model."""
        if rpc.is_model_ready(name, client_timeout=1.0):
            _LOG.warning("a process of %s died or hangs: it is loaded again", name)
            old = self._home.stubs().get(name, [])
            os.utime(self._home.repository / name / "1" / "model.py")
            rpc.load_model(name, client_timeout=_START_TIMEOUT_S)
            for process in psutil.wait_procs(old, timeout=_DRAIN_S)[1]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def _recover(self, server: subprocess.Popen[bytes], pause_s: float) -> None:
        _LOG.error("Triton ended with %s: started again in %.1f s", server.poll(), pause_s)
        _end(server)
        self._home.sweep()
        self._restarts += 1
        self._stopped.wait(pause_s)

    def _record(self, server: subprocess.Popen[bytes], *, ready: bool) -> None:
        me = psutil.Process()
        self._home.write(
            TritonState(
                supervisor_pid=me.pid,
                supervisor_started=me.create_time(),
                server_pid=server.pid,
                ready=ready,
                restarts=self._restarts,
                grpc=self._settings.triton_grpc,
                shared_memory_prefix=self._home.prefix,
            )
        )


def stop_triton(home: TritonHome, timeout_s: float = 20.0) -> bool:
    """End the supervisor of this home and everything that is left of its servers; False when nothing ran."""
    ran = bool(home.processes())
    if state := home.read():
        ran = True
        supervisor = psutil.Process(state.supervisor_pid)
        supervisor.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs([supervisor], timeout=timeout_s)
        for process in alive:
            process.kill()
    home.sweep()
    return ran


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(_EXIT_TIMEOUT_S + 4)
        except subprocess.TimeoutExpired:
            server.kill()
    server.wait()


def _command(settings: Settings, home: TritonHome) -> list[str]:
    server = settings.triton_runtime.resolve() / _SERVER
    _refuse_missing_runtime(server, settings.triton_runtime)
    options = {
        "model-repository": home.repository,
        "backend-directory": server / "backends",
        "model-control-mode": "explicit",
        "load-model": "*",  # every folder of the repository at start; one that fails does not stop the others
        "exit-on-error": "false",
        "strict-readiness": "false",
        "exit-timeout-secs": _EXIT_TIMEOUT_S,
        "allow-gpu-metrics": "false",
    }
    for service, address in _addresses(settings).items():
        options[f"{service}-address"], options[f"{service}-port"] = address.rsplit(":", 1)
    flags = [f"--{name}={value}" for name, value in options.items()]
    memory = ("shm-default-byte-size=4194304", "shm-growth-byte-size=1048576", f"shm-region-prefix-name={home.prefix}")
    python = [f"--backend-config=python,{setting}" for setting in memory]
    return [str(server / "bin/tritonserver"), "--disable-auto-complete-config", *flags, *python]


def _environment(runtime: Path) -> dict[str, str]:
    """A clean environment: the model processes take the first python3 on PATH, and must not see ours."""
    python = runtime.resolve() / "bin/python"
    ask = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
    library = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    path = f"{python.parent}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "LD_LIBRARY_PATH": library, "LANG": "C.UTF-8"}


def _addresses(settings: Settings) -> dict[str, str]:
    return {"grpc": settings.triton_grpc, "http": settings.triton_http, "metrics": settings.triton_metrics}


def _refuse_missing_runtime(server: Path, runtime: Path) -> None:
    stub = server / "backends/python/triton_python_backend_stub"
    for needed in (server / "bin/tritonserver", stub, runtime / "bin/python"):
        if not os.access(needed, os.X_OK):
            raise BadConfiguration(
                f"the Triton runtime in {runtime} is not complete",
                expected=f"an executable {needed.name}",
                seen="a file without the right to run" if needed.exists() else "no file",
                action="run `make setup`, or point RECFLOW_TRITON_RUNTIME at the runtime",
            )


def _refuse_taken_ports(settings: Settings) -> None:
    for service, address in _addresses(settings).items():
        host, port = address.rsplit(":", 1)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except (OSError, ValueError, OverflowError) as error:
                raise BadConfiguration(
                    f"Triton cannot listen on port {port} for {service}",
                    expected="a free port",
                    seen=str(error),
                    action=f"free port {port}, or set RECFLOW_TRITON_{service.upper()} to another host:port",
                ) from error
