import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from host.airflow import AirflowHost
from host.processes import MARK, Processes, free_ports, refuse_taken_ports
from host.stack import Ports, Stack
from recflow.clients.triton_home import TritonHome
from recflow.config.settings import Settings
from recflow.errors import BadConfiguration, ServerUnavailable
from recflow.wiring.gateway import read_keys

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]
# Starts a child in a session of its own, as launchers and worker pools do, says its pid and ends.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
"""


@pytest.fixture
def processes(tmp_path):
    processes = Processes(tmp_path / "run")
    yield processes
    processes.stop(*processes.names())


def start(processes, name, command):
    processes.start(name, command, os.environ, cwd=Path.cwd())


def first_line(processes, name) -> str:
    processes.wait(name, lambda: processes.log_tail(name), timeout_s=30)
    return processes.log_tail(name)


def test_another_caller_finds_and_ends_what_was_started(processes):
    start(processes, "server", SLEEP)
    other = Processes(processes.folder)
    assert other.names() == ["server"]
    assert other.alive("server")
    other.stop("server")
    assert other.names() == []
    assert not processes.alive("server")


def test_what_is_told_to_end_while_it_starts_a_process_has_recorded_it(processes, monkeypatch):
    def start_and_be_told(*arguments, **options):
        process = popen(*arguments, **options)
        signal.raise_signal(signal.SIGTERM)  # SIGINT is ignored where tests run in the background
        return process

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start_and_be_told)
    with pytest.raises(KeyboardInterrupt):
        start(processes, "server", SLEEP)
    assert processes.alive("server")
    processes.stop("server")
    assert not processes.alive("server")


def test_stopping_ends_children_with_sessions_of_their_own_whose_parent_is_gone(processes):
    start(processes, "parent", [sys.executable, "-c", PARENT])
    child = psutil.Process(int(first_line_of_ended(processes, "parent")))
    processes.stop("parent")
    assert not child.is_running()


def first_line_of_ended(processes, name) -> str:
    while processes.alive(name):
        pass
    return processes.log_tail(name)


def test_a_process_of_the_same_name_elsewhere_is_left_alone(processes, tmp_path):
    elsewhere = Processes(tmp_path / "elsewhere")
    for one in (processes, elsewhere):
        start(one, "server", SLEEP)
    processes.stop("server")
    assert elsewhere.alive("server")
    elsewhere.stop("server")


def test_stopping_what_was_killed_or_never_started_is_fine(processes):
    start(processes, "server", SLEEP)
    os.kill(processes.pid("server"), signal.SIGKILL)
    processes.stop("server", "never-started")
    assert processes.names() == []


def test_a_process_that_ignores_the_polite_signal_is_killed(processes, monkeypatch):
    import host.processes

    monkeypatch.setattr(host.processes, "STOP_TIMEOUT_S", 0.3)
    start(processes, "stubborn", STUBBORN)
    pid = processes.pid("stubborn")
    while not (processes.folder / "stubborn.log").read_bytes():
        pass
    processes.stop("stubborn")
    assert not psutil.pid_exists(pid)


def test_a_pid_that_belongs_to_somebody_else_by_now_is_not_touched(processes):
    processes.folder.mkdir(parents=True)
    (processes.folder / "old.json").write_text(f'{{"pid": {os.getpid()}, "started": 1.0}}')
    assert not processes.alive("old")
    processes.stop("old")
    assert processes.names() == []


def test_a_command_that_fails_is_told_with_the_end_of_its_output(processes):
    with pytest.raises(BadConfiguration, match="no such table"):
        processes.run(
            "migrate", [sys.executable, "-c", "raise SystemExit('no such table')"], os.environ, cwd=Path.cwd()
        )
    assert processes.names() == []


def test_a_server_that_dies_while_it_is_waited_for_is_told_at_once(processes):
    start(processes, "server", [sys.executable, "-c", "raise SystemExit('port taken')"])
    with pytest.raises(ServerUnavailable, match="port taken"):
        processes.wait("server", lambda: False, timeout_s=60)


def test_taken_ports_are_named_with_who_wanted_them():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadConfiguration, match=rf"something listens on {port} \(gateway\)"):
            refuse_taken_ports({"gateway": port, "airflow": free_ports(1)[0]})


def test_free_ports_differ():
    assert len(set(free_ports(20))) == 20


def test_a_second_start_says_that_it_is_up_already_and_touches_nothing(tmp_path):
    stack = Stack(tmp_path, ports=Ports.free())
    start(stack.processes, "gateway", SLEEP)
    with pytest.raises(BadConfiguration, match="is up already"):
        stack.start(lambda _: None)
    assert stack.processes.alive("gateway")
    stack.stop()
    assert stack.processes.names() == []


def test_a_start_on_a_taken_port_starts_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = Ports(*free_ports(5), triton_metrics=taken.getsockname()[1])
        with pytest.raises(BadConfiguration, match="triton_metrics"):
            Stack(tmp_path, ports=ports).start(lambda _: None)
    assert not (tmp_path / "run").exists()


def test_ports_come_from_the_addresses_of_the_settings():
    settings = Settings(gateway_url="http://localhost:9088/", triton_http="127.0.0.1:9000")
    ports = Ports.of(settings)
    assert (ports.gateway, ports.triton_http, ports.triton_grpc) == (9088, 9000, Ports().triton_grpc)
    assert Ports.of(Settings()) == Ports()


@pytest.mark.parametrize(
    "address", ["http://0.0.0.0:8088", "http://shop.example:8088", "https://127.0.0.1", "nonsense"]
)
def test_an_address_beyond_loopback_is_refused_rather_than_replaced(address):
    with pytest.raises(BadConfiguration, match="RECFLOW_GATEWAY_URL"):
        Ports.of(Settings(gateway_url=address))


def test_make_up_takes_recipes_and_sources_from_the_environment(monkeypatch, tmp_path):
    from host.__main__ import up

    started: list[Stack] = []
    monkeypatch.setattr(Stack, "start", lambda stack, _: started.append(stack))
    for name in ("home", "recipes", "source_root", "triton_runtime"):
        monkeypatch.setenv(f"RECFLOW_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("RECFLOW_GATEWAY_URL", "http://127.0.0.1:9088")
    monkeypatch.setenv("RECFLOW_GATEWAY_KEYS_FILE", str(tmp_path / "keys"))
    up(free_ports=False)
    environment = started[0].environment()
    assert environment["RECFLOW_RECIPES"] == str(tmp_path / "recipes")
    assert environment["RECFLOW_SOURCE_ROOT"] == str(tmp_path / "source_root")
    assert environment["RECFLOW_TRITON_RUNTIME"] == str(tmp_path / "triton_runtime")
    assert environment["RECFLOW_GATEWAY_URL"] == "http://127.0.0.1:9088"
    assert environment["RECFLOW_GATEWAY_KEYS_FILE"] == str(tmp_path / "keys")


def test_a_gateway_of_this_host_signs_by_a_key_that_is_made_once_and_that_nobody_else_can_read(monkeypatch, tmp_path):
    stack = Stack(tmp_path, ports=Ports.free())
    monkeypatch.setattr(Stack, "start_command", lambda *_: None)
    monkeypatch.setattr(AirflowHost, "start", lambda *_: None)
    stack.start(lambda _: None)
    first = stack.keys_file.read_text()
    stack.start(lambda _: None)
    assert stack.environment()["RECFLOW_GATEWAY_KEYS_FILE"] == str(stack.keys_file)
    assert (stack.keys_file.read_text(), stack.keys_file.stat().st_mode & 0o777) == (first, 0o600)
    assert len(read_keys(stack.keys_file).secrets) == 1


def test_make_down_ends_the_installation_and_the_demo(monkeypatch, tmp_path):
    import host.__main__

    homes = [tmp_path / "home", tmp_path / "demo"]
    monkeypatch.setenv("RECFLOW_HOME", str(homes[0]))
    monkeypatch.setattr(host.__main__, "DEMO_HOME", homes[1])
    for home in homes:
        start(Stack(home).processes, "gateway", SLEEP)
    host.__main__.down()
    assert [name for home in homes for name in Stack(home).processes.names()] == []


def test_a_triton_that_was_started_again_by_hand_is_ended_too(tmp_path):
    home = TritonHome(tmp_path)
    left = subprocess.Popen([*SLEEP, f"--shm={home.prefix}"])
    assert [process.pid for process in home.processes()] == [left.pid]
    Stack(tmp_path).stop()
    assert home.processes() == []
    left.wait()


@pytest.mark.parametrize("arguments", [["triton", "up"], ["gateway", "up"]])
def test_the_parts_of_recflow_are_kept_alive_as_those_of_airflow_are(monkeypatch, tmp_path, arguments):
    commands: list[list[str]] = []
    monkeypatch.setattr(Processes, "start", lambda *given, **_: commands.append(given[2]))
    monkeypatch.setattr(Processes, "wait", lambda *_, **__: None)
    Stack(tmp_path).start_command(arguments[0], arguments, "")
    assert commands[0][1:3] == ["-m", "host.keep_alive"]
    assert commands[0][-2:] == arguments


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_what_was_started_before_an_interruption_is_ended(tmp_path, interruption):
    stack = Stack(tmp_path, ports=Ports.free())

    def say(part: str) -> None:
        start(stack.processes, "begun", SLEEP)
        raise interruption

    with pytest.raises(interruption):
        stack.start(say)
    assert stack.processes.names() == []
    assert not any(_environment(process).get(MARK, "").startswith(str(tmp_path)) for process in psutil.process_iter())


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
