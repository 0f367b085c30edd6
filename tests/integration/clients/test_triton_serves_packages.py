import asyncio
import threading
import time

import pytest

from fakes.relevance import item, score, score_soon
from fakes.tiny_model import write_package
from recflow.clients.triton import TritonScorer, TritonServer, connect, model_name
from recflow.config.sections.serving import PackagingSection
from recflow.errors import BadConfiguration, ModelWontLoad, ServerUnavailable

OLD, NEW = "20110101-aaaaaaaa", "20110102-bbbbbbbb"


@pytest.fixture
def recipe(request):
    return f"shop_{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
def server(triton):
    return TritonServer(triton.settings)


@pytest.fixture
def served(server, recipe, tmp_path):
    server.load(recipe, OLD, write_package(tmp_path / "old"))
    yield server
    for version in server.loaded(recipe):
        server.unload(recipe, version)


def items(count):
    return [item(str(number), "red shoe" if number % 3 else "红色 hat", "x" * number) for number in range(count)]


def asked_by(scorer, recipe, requests):
    async def ask():
        try:
            answers = [score_soon(scorer, recipe, OLD, query, shown, timeout_s=10) for query, shown in requests]
            return await asyncio.gather(*answers, return_exceptions=True)
        finally:
            await scorer.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("size", [1, 5, 20, 200])
def test_requests_of_any_size_get_one_score_an_item(served, recipe, size):
    scores = score(served, recipe, OLD, "red shoe", items(size), timeout_s=10)
    assert scores == pytest.approx([float(number % 3 > 0) for number in range(size)])


def test_joined_requests_of_different_sizes_do_not_mix(triton, served, recipe):
    requests = [("red shoe" if number % 2 else "hat", items(number + 1)) for number in range(40)]
    answers = asked_by(TritonScorer(triton.settings), recipe, requests)
    for (query, shown), scores in zip(requests, answers, strict=True):
        expected = [float((query == "hat") == (item.title == "红色 hat")) for item in shown]
        assert scores == pytest.approx(expected)


def test_a_request_that_cannot_be_scored_fails_alone(triton, served, recipe):
    good, bad = ("red", [item("1", "red")]), ("red", [item("1", "poison")])
    answers = asked_by(TritonScorer(triton.settings), recipe, [good, bad, good, good, bad, good])
    assert [isinstance(answer, ServerUnavailable) for answer in answers] == [False, True, False, False, True, False]


def test_an_odd_character_is_no_failure(served, recipe):
    assert len(score(served, recipe, OLD, "\ud800 red", [item("1", "\udfff")], timeout_s=10)) == 1


def test_a_deadline_that_has_passed_is_unavailability(triton, served, recipe):
    with pytest.raises(ServerUnavailable):
        score(served, recipe, OLD, "red", items(3), timeout_s=1e-6)

    async def late():
        scorer = TritonScorer(triton.settings)
        try:
            await score_soon(scorer, recipe, OLD, "red", items(3), timeout_s=1e-6)
        finally:
            await scorer.close()

    with pytest.raises(ServerUnavailable):
        asyncio.run(late())


def test_a_corrupt_onnx_is_refused_while_the_other_version_loses_no_request(served, recipe, tmp_path):
    failures, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                score(served, recipe, OLD, "red", items(3), timeout_s=10)
            except ServerUnavailable as error:
                failures.append(error)
            time.sleep(0.002)

    shopper = threading.Thread(target=ask)
    shopper.start()
    try:
        with pytest.raises(ModelWontLoad) as refusal:
            served.load(recipe, NEW, write_package(tmp_path / "new", onnx=b"\x08\x07 not a model"))
    finally:
        stop.set()
        shopper.join()
    assert failures == []
    assert "model.onnx" in refusal.value.seen
    assert served.loaded(recipe) == (OLD,)


def test_a_refused_version_leaves_nothing_to_load_at_the_next_start(triton, server, recipe, tmp_path):
    with pytest.raises(ModelWontLoad):
        server.load(recipe, NEW, write_package(tmp_path / "new", onnx=b"\x08\x07 not a model"))
    assert not (triton.home.repository / model_name(recipe, NEW)).exists()


def test_two_loads_at_once_both_succeed(triton, recipe, tmp_path):
    versions = [OLD, NEW]
    packages = [write_package(tmp_path / version) for version in versions]
    servers = [TritonServer(triton.settings) for _ in versions]
    loads = [
        threading.Thread(target=server.load, args=(recipe, version, package))
        for server, version, package in zip(servers, versions, packages, strict=True)
    ]
    for load in loads:
        load.start()
    for load in loads:
        load.join()
    assert servers[0].loaded(recipe) == (OLD, NEW)
    for version in versions:
        servers[0].unload(recipe, version)


def test_a_dead_model_process_is_found_by_scoring_and_loading_again_revives_it(triton, served, recipe, tmp_path):
    with triton.home.locked("load"):  # the supervisor leaves it alone meanwhile
        triton.kill_stub(model_name(recipe, OLD))
        with pytest.raises(ServerUnavailable):
            score(served, recipe, OLD, "red", items(1), timeout_s=10)
        assert served.loaded(recipe) == ()
    served.load(recipe, OLD, tmp_path / "old")
    assert served.loaded(recipe) == (OLD,)


def test_a_dead_model_process_is_revived_by_the_supervisor(triton, served, recipe):
    triton.kill_stub(model_name(recipe, OLD))
    triton.wait_until(lambda: served.loaded(recipe) == (OLD,))


def test_loading_again_what_has_not_changed_keeps_its_processes(triton, served, recipe, tmp_path):
    name = model_name(recipe, OLD)
    before = triton.home.stubs()[name]
    with triton.home.locked("load"), connect(triton.settings.triton_grpc) as rpc:
        for _ in range(3):
            rpc.load_model(name)
    served.load(recipe, OLD, tmp_path / "old")
    assert triton.home.stubs()[name] == before


def test_versions_answer_and_the_server_is_up_while_another_one_loads(triton, served, recipe, tmp_path):
    slow = write_package(tmp_path / "new")
    gate = tmp_path / "gate"
    waits = f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)\n"
    scoring = slow / "1" / "scoring.py"
    scoring.write_text(scoring.read_text() + waits)
    load = threading.Thread(target=served.load, args=(recipe, NEW, slow))
    load.start()
    try:
        triton.wait_until(lambda: model_name(recipe, NEW) in triton.home.stubs())
        with connect(triton.settings.triton_grpc) as rpc:
            assert (rpc.is_server_live(), rpc.is_server_ready()) == (True, True)
        assert triton.command("status").returncode == 0
        assert served.loaded(recipe) == (OLD,)
    finally:
        gate.touch()
        load.join()
    assert served.loaded(recipe) == (OLD, NEW)


def test_what_callers_gave_up_on_is_not_computed_and_holds_up_nobody(triton, server, recipe, tmp_path):
    package = write_package(tmp_path / "old", section=PackagingSection(max_batch_size=4))
    computed = tmp_path / "computed"
    scoring = package / "1" / "scoring.py"
    counts = f"import time\n        time.sleep(0.5)\n        open({str(computed)!r}, 'a').write('x' * len(requests))\n"
    told = "    def score_many(self, requests):\n"
    scoring.write_text(scoring.read_text().replace(told, f"{told}        {counts}"))
    server.load(recipe, OLD, package)
    computed.write_text("")

    async def burst():
        scorer = TritonScorer(triton.settings)
        try:
            asked = [score_soon(scorer, recipe, OLD, "red", items(1), timeout_s=0.1) for _ in range(200)]
            given_up = await asyncio.gather(*asked, return_exceptions=True)
            return given_up, await score_soon(scorer, recipe, OLD, "red shoe", items(2), timeout_s=60)
        finally:
            await scorer.close()

    given_up, scores = asyncio.run(burst())
    assert all(isinstance(error, ServerUnavailable) for error in given_up)
    assert scores == pytest.approx((0.0, 1.0))
    assert len(computed.read_text()) < 50
    server.unload(recipe, OLD)


def test_what_nobody_can_answer_counts_as_failed_in_the_servers_own_numbers_too(triton, served, recipe):
    with pytest.raises(ServerUnavailable):
        score(served, recipe, OLD, "red", [item("1", "poison")], timeout_s=10)
    with connect(triton.settings.triton_grpc) as rpc:
        (counts,) = rpc.get_inference_statistics(model_name(recipe, OLD)).model_stats
    assert counts.inference_stats.fail.count == 1


def test_an_answer_of_more_than_four_mebibytes_arrives(served, recipe):
    many = [item("1", "red")] * 1_100_000
    assert score(served, recipe, OLD, "red", many, timeout_s=120) == (1.0,) * len(many)


def test_post_processing_is_part_of_what_is_served(server, recipe, tmp_path):
    code = "def process(scores):\n    return [-score for score in scores]\n"
    section = PackagingSection(post_processing="post.py", post_processing_code=code)
    server.load(recipe, OLD, write_package(tmp_path / "old", section=section))
    assert score(server, recipe, OLD, "red", [item("1", "red")], timeout_s=10) == (-1.0,)
    server.unload(recipe, OLD)


@pytest.mark.parametrize("version", ["../../etc", "", "a_b", "a--b", "x" * 5 + "/"])
def test_a_version_that_is_no_folder_name_is_refused(server, recipe, tmp_path, version):
    with pytest.raises(BadConfiguration):
        server.load(recipe, version, tmp_path)
