import resource
import signal
from contextlib import contextmanager

import pytest

from fakes.tiny_model import write_package
from recflow.clients.triton_home import TritonHome, missing_parts
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


@pytest.mark.parametrize("lost", ["config.pbtxt", "1/model.py"])
def test_what_lacks_a_part_is_set_aside_and_whole_packages_stay(tmp_path, lost):
    home = TritonHome(tmp_path / "home")
    home.prepare()
    for name in ("line__v1", "line__v2"):
        home.install(write_package(tmp_path / name), name)
    (home.repository / "line__v2" / lost).unlink()
    (home.repository / "notes.txt").write_text("no model")
    assert home.set_aside_incomplete() == ["line__v2"]
    assert {path.name for path in home.repository.iterdir()} == {"line__v1", "notes.txt"}
    (kept,) = (home.root / "set_aside").iterdir()
    assert missing_parts(kept) == (lost,)
    assert home.set_aside_incomplete() == []


def test_the_same_folder_is_set_aside_as_often_as_it_comes(tmp_path):
    home = TritonHome(tmp_path / "home")
    home.prepare()
    for _ in range(2):
        (home.repository / "by-hand").mkdir()
        home.set_aside_incomplete()
    assert len([*(home.root / "set_aside").iterdir()]) == 2
