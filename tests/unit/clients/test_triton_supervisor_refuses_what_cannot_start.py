import socket

import pytest

from recflow.clients.triton import model_name
from recflow.clients.triton_home import TritonHome
from recflow.clients.triton_process import TritonSupervisor
from recflow.config.settings import Settings
from recflow.errors import BadConfiguration

SERVER = "tritonserver/pytriton/tritonserver"
FILES = (f"{SERVER}/bin/tritonserver", f"{SERVER}/backends/python/triton_python_backend_stub", "bin/python")


@pytest.fixture
def runtime(tmp_path):
    """A runtime whose Python only says where its library is, and whose server ends at once."""
    folder = tmp_path / "runtime"
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho cannot go on\n")
        path.chmod(0o755)
    return folder


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def start(tmp_path, runtime, port=0):
    addresses = {"triton_grpc": "127.0.0.1:0", "triton_metrics": "127.0.0.1:0", "triton_http": f"127.0.0.1:{port}"}
    TritonSupervisor(Settings(home=tmp_path / "home", triton_runtime=runtime, **addresses)).run()


@pytest.mark.parametrize("missing", FILES)
def test_a_runtime_that_is_not_complete_says_make_setup(tmp_path, runtime, missing):
    (runtime / missing).unlink()
    with pytest.raises(BadConfiguration, match="make setup"):
        start(tmp_path, runtime)


def test_a_server_without_the_right_to_run_says_make_setup(tmp_path, runtime):
    (runtime / FILES[0]).chmod(0o644)
    with pytest.raises(BadConfiguration, match=r"without the right to run.*make setup"):
        start(tmp_path, runtime)


def test_a_taken_port_is_named_with_its_setting(tmp_path, runtime, taken):
    with pytest.raises(BadConfiguration, match=rf"port {taken} for http.*RECFLOW_TRITON_HTTP"):
        start(tmp_path, runtime, taken)


def test_a_server_that_ends_at_its_first_start_shows_its_last_words(tmp_path, runtime):
    with pytest.raises(BadConfiguration, match="cannot go on"):
        start(tmp_path, runtime)


def test_a_second_supervisor_is_refused(tmp_path, runtime):
    with TritonHome(tmp_path / "home").locked("supervisor"), pytest.raises(BadConfiguration, match="up already"):
        start(tmp_path, runtime)


def test_an_installed_package_is_whole_and_a_removed_one_is_gone(tmp_path):
    home = TritonHome(tmp_path)
    (tmp_path / "package" / "1").mkdir(parents=True)
    (tmp_path / "package" / "1" / "model.py").write_text("new")
    for _ in range(2):
        home.install(tmp_path / "package", "shop__1")
    assert (home.repository / "shop__1" / "1" / "model.py").read_text() == "new"
    for _ in range(2):
        home.remove("shop__1")
    assert list(home.repository.iterdir()) == []


def test_two_homes_never_share_a_prefix(tmp_path):
    assert TritonHome(tmp_path / "a").prefix != TritonHome(tmp_path / "b").prefix
    assert TritonHome(tmp_path / "a").prefix == TritonHome(tmp_path / "a").prefix


def test_a_models_name_carries_recipe_and_version():
    assert model_name("search_relevance", "20110104-0a1b2c3d") == "search_relevance__20110104_0a1b2c3d"
