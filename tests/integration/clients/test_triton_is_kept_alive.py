"""Kills: each test has a server of its own."""

import asyncio
import time

import psutil
import pytest

from fakes.local_triton import LocalTriton, running_triton
from fakes.relevance import item, score, score_soon
from fakes.tiny_model import write_package
from recflow.clients.triton import TritonScorer, TritonServer
from recflow.errors import ServerUnavailable

VERSIONS = ("20110101-aaaaaaaa", "20110102-bbbbbbbb")
ITEMS = [item("1", "red")]


@pytest.fixture
def triton(tmp_path):
    with running_triton(tmp_path / "home") as server:
        yield server
        server.kill_supervisor()  # the quick way out: `down` then sweeps instead of draining


@pytest.fixture
def server(triton, tmp_path):
    server = TritonServer(triton.settings)
    for version in VERSIONS:
        server.load("shop", version, write_package(tmp_path / version))
    return server


def answers(server):
    try:
        return server.loaded("shop") == VERSIONS
    except ServerUnavailable:
        return False


def test_a_killed_server_comes_back_with_every_version(triton, server):
    killed = triton.home.read().server_pid
    triton.kill_server()
    with pytest.raises(ServerUnavailable):
        score(server, "shop", VERSIONS[0], "red", ITEMS, timeout_s=5)
    triton.wait_until(lambda: answers(server))
    assert score(server, "shop", VERSIONS[0], "red", ITEMS, timeout_s=5) == (1.0,)
    assert (triton.home.read().restarts, triton.home.read().server_pid != killed) == (1, True)


def test_a_model_that_fails_at_a_restart_does_not_keep_the_others_down(triton, server):
    broken = triton.home.repository / f"shop__{VERSIONS[1].replace('-', '_')}"
    (broken / "1" / "model.py").write_text("def (")
    triton.kill_server()
    triton.wait_until(lambda: _loaded(server) == VERSIONS[:1])


def test_a_folder_that_lost_its_code_does_not_keep_the_next_start_from_ending(triton, server):
    folder = triton.home.repository / f"shop__{VERSIONS[1].replace('-', '_')}"
    (folder / "1" / "model.py").unlink()
    triton.kill_server()
    triton.wait_until(lambda: _loaded(server) == VERSIONS[:1])
    assert not folder.exists()


def test_a_server_whose_supervisor_was_killed_serves_on_until_the_next_start_replaces_it(triton, server):
    orphan = psutil.Process(triton.home.read().server_pid)
    triton.kill_supervisor()
    assert score(server, "shop", VERSIONS[0], "red", ITEMS, timeout_s=5) == (1.0,)
    assert "without a supervisor" in triton.command("status").stdout
    triton.up()
    assert not orphan.is_running()
    assert answers(server)


def test_down_leaves_nothing_even_after_every_part_was_killed(triton, server):
    server_process = psutil.Process(triton.home.read().server_pid)
    triton.kill_supervisor()
    server_process.kill()
    assert triton.leftovers() != []
    triton.down()


def test_down_leaves_nothing_after_a_model_process_was_killed(triton, server):
    with triton.home.locked("load"):
        triton.kill_stub(f"shop__{VERSIONS[0].replace('-', '_')}")
        triton.down()


def test_up_and_down_may_be_said_twice(triton, server):
    triton.up()
    assert answers(server)
    assert triton.command("status").returncode == 0
    triton.down()
    assert triton.command("status").returncode == 1
    triton.down()


def test_a_second_server_on_the_same_ports_is_refused_by_the_ports_name(triton, tmp_path):
    rival = LocalTriton(tmp_path / "rival")
    rival.environment |= {name: value for name, value in triton.environment.items() if name.endswith("_GRPC")}
    refused = rival.command("up")
    assert refused.returncode == 78
    assert f"port {triton.settings.triton_grpc.rsplit(':', 1)[1]} for grpc" in refused.stderr
    assert rival.leftovers() == []


def test_the_gateways_client_goes_on_after_a_restart(triton, server):
    async def ask():
        scorer = TritonScorer(triton.settings)
        try:
            before = await score_soon(scorer, "shop", VERSIONS[0], "red", ITEMS, timeout_s=5)
            triton.kill_server()
            with pytest.raises(ServerUnavailable):
                await score_soon(scorer, "shop", VERSIONS[0], "red", ITEMS, timeout_s=5)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    return before, await score_soon(scorer, "shop", VERSIONS[0], "red", ITEMS, timeout_s=1)
                except ServerUnavailable:
                    await asyncio.sleep(0.1)
            return before, None
        finally:
            await scorer.close()

    assert asyncio.run(ask()) == ((1.0,), (1.0,))


def _loaded(server):
    try:
        return server.loaded("shop")
    except ServerUnavailable:
        return ()
