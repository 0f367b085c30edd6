"""A model whose process died or hangs: each test has a server of its own."""

import asyncio
import signal

import pytest

from fakes.local_triton import running_triton
from fakes.relevance import item, question, score
from fakes.tiny_model import write_package
from recflow.artifacts.events import Fallback
from recflow.clients.triton import TritonScorer, TritonServer, model_name
from recflow.config.sections.serving import PackagingSection
from recflow.errors import ServerUnavailable
from recflow.gateway.answering import Deadline, answer

VERSION = "20110101-aaaaaaaa"
NAME = model_name("shop", VERSION)
ITEMS = [item("1", "red")]
DEADLINE_S = 60  # not how long it takes: how long a busy host may need


@pytest.fixture
def triton(tmp_path):
    with running_triton(tmp_path / "home") as server:
        yield server
        server.kill_supervisor()  # the quick way out: `down` then sweeps instead of draining


@pytest.fixture
def load(triton, tmp_path):
    def load(instances):
        server = TritonServer(triton.settings)
        server.load("shop", VERSION, write_package(tmp_path / "old", section=PackagingSection(instances=instances)))
        return server

    return load


def processes(triton):
    return set(triton.home.stubs().get(NAME, []))


def answered(server, times):
    """Which of several requests, one after the other, were answered."""
    return [_is_answered(server) for _ in range(times)]


def _is_answered(server):
    try:
        return score(server, "shop", VERSION, "red", ITEMS, timeout_s=5) == (1.0,)
    except ServerUnavailable:
        return False


def shoppers_answers(triton, times):
    """Who answered each of several shoppers, and why it was not the version."""

    async def ask():
        scorer = TritonScorer(triton.settings)
        try:
            asked = question("shop", "red", ITEMS)
            return [await answer(scorer, asked, [VERSION], Deadline(20), Fallback.NONE) for _ in range(times)]
        finally:
            await scorer.close()

    return [(given.served, given.fallback) for given in asyncio.run(ask())]


def wound(triton, how):
    """Kill or stop one process of the version; gives it and the others."""
    victim, *others = processes(triton)
    victim.send_signal(how)
    return victim, set(others)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hung"])
@pytest.mark.parametrize("instances", [1, 2])
def test_a_model_process_that_is_lost_is_replaced_as_often_as_it_happens(triton, load, how, instances):
    server = load(instances)
    for _ in range(2):
        before = processes(triton)
        wound(triton, how)
        triton.wait_until(lambda old=before: not old & processes(triton) and all(answered(server, 4)), DEADLINE_S)
        assert len(processes(triton)) == instances


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hung"])
def test_with_one_process_of_two_lost_the_version_stays_and_answers_by_the_other(triton, load, tmp_path, how):
    server = load(2)
    with triton.home.locked("load"):  # the supervisor leaves it alone meanwhile
        _, others = wound(triton, how)
        seen = set()
        triton.wait_until(lambda: seen.update(shoppers_answers(triton, 2)) or len(seen) > 1, DEADLINE_S)
        assert seen == {(VERSION, Fallback.NONE), ("lexical", Fallback.UNAVAILABLE)}
        assert server.loaded("shop") == (VERSION,)
    server.load("shop", VERSION, tmp_path / "old")
    triton.wait_until(lambda: not others & processes(triton), DEADLINE_S)
    assert answered(server, 4) == [True] * 4


def test_the_other_process_goes_on_answering_while_the_version_is_mended(triton, load):
    server = load(2)
    before = processes(triton)
    wound(triton, signal.SIGKILL)
    seen = []
    triton.wait_until(lambda: seen.extend(answered(server, 2)) or not before & processes(triton), DEADLINE_S)
    pairs = zip(seen[::2], seen[1::2], strict=True)
    assert all(first or second for first, second in pairs)


def test_a_version_that_was_mended_unloads_without_a_trace(triton, load):
    server = load(2)
    before = processes(triton)
    wound(triton, signal.SIGKILL)
    triton.wait_until(lambda: not before & processes(triton), DEADLINE_S)
    server.unload("shop", VERSION)
    assert processes(triton) == set()
    assert server.loaded("shop") == ()
