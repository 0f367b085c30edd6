import resource
import signal
from contextlib import contextmanager

import pytest

from recflow.clients.triton_home import TritonHome
from recflow.errors import StoreFull


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"x" * 5000)
    return folder


@contextmanager
def small_disk():
    """A disk that takes no file beyond 1,000 bytes; not a fixture, since pytest writes its own log before teardowns."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_leaves_no_half_copy_of_a_package(tmp_path, package):
    home = TritonHome(tmp_path / "home")
    with small_disk(), pytest.raises(StoreFull, match="line__v1 was not installed"):
        home.install(package, "line__v1")
    assert [path for path in home.root.rglob("*") if "line__v1" in path.name] == []
