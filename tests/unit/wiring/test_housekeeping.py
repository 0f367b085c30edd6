import os
import time

import pytest

from recflow.cli.main import run
from recflow.config.settings import Settings
from recflow.errors import ArtifactCorrupt
from recflow.wiring import Services, clean_store

NAME = "shop_search"
GARBAGE = f"{NAME}/models/{'a' * 64}/lost/model.onnx"
OLD = time.time() - 30 * 24 * 3600


@pytest.fixture
def services(tmp_path, monkeypatch):
    """An empty installation with one recipe."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / f"{NAME}.yaml").write_text(f"name: {NAME}\nowner: search\n")
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path / "recipes"))
    return Services(Settings())


def leave(services, place: str, *, old: bool, inner_old: bool = True) -> None:
    """A folder with a file on this host, as a job or a fetch leaves it."""
    folder = services.settings.home / place
    folder.mkdir(parents=True)
    (folder / "content").write_text("left")
    if inner_old and old:
        os.utime(folder / "content", (OLD, OLD))
    if old:
        os.utime(folder, (OLD, OLD))


def test_stale_copies_scratch_and_jobs_of_this_host_go_and_what_is_in_use_stays(services):
    for place in ("cache/old", "scratch/old", "jobs/old", "calls/old"):
        leave(services, place, old=True)
    leave(services, "cache/new", old=False)
    leave(services, "jobs/long", old=True, inner_old=False)
    assert clean_store(services, NAME)["removed_host_folders"] == 4
    kept = {path.relative_to(services.settings.home).as_posix() for path in services.settings.home.glob("*/*")}
    assert {"cache/new", "jobs/long"} <= kept
    assert not kept & {"cache/old", "scratch/old", "jobs/old", "calls/old"}


def test_what_a_killed_writer_left_in_the_store_goes(services):
    services.store.put("shop_search/anything", b"whole")
    half = services.settings.home / "store" / ".incoming" / "half"
    half.write_bytes(b"ha")
    os.utime(half, (OLD, OLD))
    clean_store(services, NAME)
    assert not half.exists()
    assert services.store.get("shop_search/anything") == b"whole"


def test_a_manifest_that_cannot_be_read_keeps_nothing_else_from_being_cleaned(services):
    services.store.put(f"{NAME}/models/{'b' * 64}/manifest.json", b"torn")
    leave(services, "cache/old", old=True)
    with pytest.raises(ArtifactCorrupt, match="is no manifest"):
        clean_store(services, NAME)
    assert not (services.settings.home / "cache" / "old").exists()


def test_the_command_remembers_first_and_frees_at_once_when_told_to(services, capsys):
    services.store.put(GARBAGE, b"half a model")
    assert run(["housekeeping", NAME]) == 0
    assert services.store.get(GARBAGE) is not None
    assert run(["housekeeping", NAME, "--at-once"]) == 0
    assert services.store.get(GARBAGE) is None
    assert "deleted objects          1" in capsys.readouterr().out
