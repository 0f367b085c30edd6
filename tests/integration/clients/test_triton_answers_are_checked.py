"""Packages whose outputs are not what config.pbtxt says: Triton passes them on as answers, recflow's clients do not."""

import asyncio

import pytest

from fakes.relevance import SERVING, item, question, score_soon, scores
from fakes.tiny_model import write_package
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Fallback
from recflow.artifacts.plans import InfraLimits
from recflow.clients.clock import SystemClock
from recflow.clients.triton import TritonScorer, TritonServer
from recflow.errors import AnswerMalformed, ModelWontLoad
from recflow.gateway.answering import Deadline, answer
from recflow.rollout.infra_check import check

OLD, NEW = "20110101-aaaaaaaa", "20110102-bbbbbbbb"
SOUND = "[pb_utils.Tensor(name, np.stack([output[name] for output in outputs])) for name in names]"
WRONG = {
    "type": '[pb_utils.Tensor("SCORE", np.asarray(rows, dtype=np.float64))]',
    "text": '[pb_utils.Tensor("SCORE", np.asarray([[b"1"] * len(rows[0])], dtype=object))]',
    "name": '[pb_utils.Tensor("POINTS", np.asarray(rows, dtype=np.float32))]',
    "missing": "[]",
    "fewer": '[pb_utils.Tensor("SCORE", np.asarray([rows[0][1:]], dtype=np.float32))]',
    "rank": '[pb_utils.Tensor("SCORE", np.asarray(rows[0], dtype=np.float32))]',
    "nan": '[pb_utils.Tensor("SCORE", np.full((1, len(rows[0])), np.nan, dtype=np.float32))]',
}
ITEMS = tuple(item(str(number), "red shoe") for number in range(20))


@pytest.fixture
def recipe(request):
    return f"shop_{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
def server(triton, recipe):
    server = TritonServer(triton.settings)
    yield server
    for version in (OLD, NEW):
        server.unload(recipe, version)


def wrong_package(folder, way, *, beyond_items):
    """A package that answers wrongly when it is asked for more than so many items."""
    package = write_package(folder)
    model = package / "1" / "model.py"
    text = model.read_text()
    assert text.count(SOUND) == 1
    model.write_text(text.replace(SOUND, f"{WRONG[way]} if len(rows[0]) > {beyond_items} else {SOUND}"))
    return package


def judge(server, recipe, package):
    limits = InfraLimits(max_p95_ms=60_000, load_timeout_s=600)
    return check(server, recipe, NEW, package, serving=SERVING, baseline=OLD, limits=limits, clock=SystemClock())


@pytest.mark.parametrize("way", WRONG)
def test_a_package_that_always_answers_wrongly_is_not_loaded_and_says_how(server, recipe, tmp_path, way):
    with pytest.raises(ModelWontLoad, match="answered wrongly") as refusal:
        server.load(recipe, NEW, wrong_package(tmp_path / "new", way, beyond_items=0))
    assert refusal.value.expected != refusal.value.seen != ""
    assert server.loaded(recipe) == ()


@pytest.mark.parametrize("way", WRONG)
def test_one_that_answers_wrongly_from_six_items_on_is_refused_by_the_infra_check(server, recipe, tmp_path, way):
    server.load(recipe, OLD, write_package(tmp_path / "old"))
    decision = judge(server, recipe, wrong_package(tmp_path / "new", way, beyond_items=5))
    assert decision.verdict is Verdict.FAIL
    assert any("golden request of 20 items" in reason for reason in decision.reasons)


@pytest.mark.parametrize("way", WRONG)
def test_its_shopper_is_answered_by_stable_and_it_counts_as_an_error(triton, server, recipe, tmp_path, way):
    server.load(recipe, OLD, write_package(tmp_path / "old"))
    server.load(recipe, NEW, wrong_package(tmp_path / "new", way, beyond_items=5))

    async def ask():
        scorer = TritonScorer(triton.settings)
        try:
            with pytest.raises(AnswerMalformed):
                await score_soon(scorer, recipe, NEW, "red shoe", ITEMS, timeout_s=20)
            asked = question(recipe, "red shoe", ITEMS)
            return await answer(scorer, asked, [NEW, OLD], Deadline(20), Fallback.NONE)
        finally:
            await scorer.close()

    given = asyncio.run(ask())
    assert (given.served, given.fallback) == (OLD, Fallback.ERROR)
    assert scores(given.outputs) == (1.0,) * len(ITEMS)
