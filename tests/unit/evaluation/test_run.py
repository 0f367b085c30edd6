"""The stage on real packages of a stand-in scorer: what is judged is what a shopper would see."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.relevance.shop import FAULT
from fakes.small_models import judged_row, shop_rows, write_dataset
from fakes.stage_bench import StageBench
from fakes.tiny_model import write_package
from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OfflineGateSection
from recflow.config.sections.serving import PackagingSection
from recflow.errors import PermanentError
from recflow.evaluation import run as evaluation
from recflow.evaluation.packaged import load_package
from recflow.evaluation.spec import OFFLINE_GATE

RECIPE = Recipe(name="search", owner="tests")
REVERSING = "def process(scores):\n    return [-score for score in scores]\n"
LONG = "def process(scores):\n    if len(scores) < 8:\n        return scores\n    {body}\n"


class BlindEncoders:
    """A base model that finds every text alike."""

    def base_folder(self, name):
        return Path(name)

    def encode(self, folder, texts, max_tokens):
        return np.ones((len(texts), 1))


def with_floors(*floors):
    return RECIPE.model_copy(update={"offline_gate": OfflineGateSection(floors=floors)})


def make_the_first_items_popular(folder):
    """Of each query the items whose ids end in 0 and 4: of the asked colour and thing, grade 3."""
    items = [row["item_id"] for row in shop_rows(40) if row["item_id"][-1] in "04"]
    pq.write_table(pa.table({"item_id": items, "acts": [7] * len(items)}), folder / "popularity.parquet")


class Judge:
    """Packages by their post-processing, judged on 30 queries of the tiny shop."""

    def __init__(self, root, extra=(), prepare=None):
        self.bench, self.root = StageBench(root), root
        rows = shop_rows(40)
        splits = {"train": rows[: 5 * 8], "validation": rows[5 * 8 : 10 * 8], "test": [*rows[10 * 8 :], *extra]}
        folder = write_dataset(root / "dataset", splits)
        if prepare:
            prepare(folder)
        self.dataset = self.bench.publish(RefKind.DATASET, folder)

    def package(self, code=""):
        section = PackagingSection(post_processing="post.py", post_processing_code=code) if code else PackagingSection()
        folder = write_package(self.root / f"package-{len(list(self.root.iterdir()))}", section=section)
        return self.bench.publish(RefKind.PACKAGE, folder)

    def decide(self, package, serving=None, recipe=RECIPE):
        parent = self.bench.parent(Parent(version="1", package=serving) if serving else None)
        function = partial(evaluation.run, encoders=BlindEncoders())
        ref = self.bench.run(OFFLINE_GATE, function, recipe, package=package, parent=parent, dataset=self.dataset)
        return Decision.model_validate_json((self.bench.artifacts.fetch(ref) / "decision.json").read_bytes())


@pytest.fixture
def judge(tmp_path):
    return Judge(tmp_path)


def test_a_package_is_not_inferior_to_itself(judge):
    package = judge.package()
    assert judge.decide(package, package).verdict is Verdict.PASS


def test_post_processing_that_reverses_lists_is_seen_offline(judge):
    decision = judge.decide(judge.package(REVERSING), judge.package())
    assert decision.verdict is Verdict.FAIL
    assert "worse for certain" in decision.reasons[0]


def test_the_serving_package_is_judged_by_its_own_post_processing(judge):
    decision = judge.decide(judge.package(), judge.package(REVERSING))
    assert decision.verdict is Verdict.PASS
    assert decision.numbers["ndcg_change"][0] > 0.3


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("return scores[:1]", "post-processing turned 8 scores into 1"),
        ("return [float('nan')] * 8", "8 of 8 scores are no numbers"),
        ("return [float('inf'), *scores[1:]]", "1 of 8 scores are no numbers"),
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("return None", "TypeError"),
        ("raise SystemExit(0)", "post-processing ends its process: exit(0)"),
    ],
)
def test_post_processing_that_fails_on_held_out_queries_fails_the_candidate_with_their_number(judge, body, seen):
    decision = judge.decide(judge.package(LONG.format(body=body)), judge.package())
    assert decision.verdict is Verdict.FAIL
    assert "leaves 30 test queries without one" in decision.reasons[0]
    assert seen in decision.reasons[0]


@pytest.mark.parametrize(("line", "seen"), [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(0)", "exit(0)")])
def test_post_processing_that_does_not_load_answers_nothing(judge, line, seen):
    decision = judge.decide(judge.package(f"{line}\n\n\ndef process(scores):\n    return scores\n"))
    assert decision.verdict is Verdict.FAIL
    assert seen in decision.reasons[0]


def test_a_query_that_the_scorer_cannot_read_is_counted_and_the_others_are_judged(tmp_path):
    judge = Judge(tmp_path, extra=[judged_row("red rug", "poison", 3.0), judged_row("red rug", "red rug", 0.0)])
    decision = judge.decide(judge.package())
    assert decision.verdict is Verdict.FAIL
    assert "leaves 1 test queries without one, the first by RuntimeError" in decision.reasons[0]
    assert decision.numbers["queries"] == 30


def test_queries_of_one_item_are_counted_and_do_not_vote(tmp_path):
    judge = Judge(tmp_path, extra=[judged_row(f"query {number}", "lone", 3.0) for number in range(50)])
    package = judge.package()
    decision = judge.decide(package, package)
    assert decision.findings[0].reason.startswith("30 of 80 test queries can tell")


def test_the_fault_of_the_demos_last_day_is_not_seen_offline(judge):
    serving = judge.package()
    decision = judge.decide(judge.package(FAULT.read_text()), serving)
    assert decision.verdict is Verdict.PASS
    assert decision.numbers["ndcg_change"] == [0, 0, 0]


def test_a_package_of_the_layout_before_answers_were_shared_still_opens(tmp_path):
    folder = write_package(tmp_path / "package")
    (folder / "1" / "answers.py").unlink()
    assert load_package(folder).process([1.0]) == [1.0]


def test_a_dataclass_in_post_processing_loads_as_it_would_on_the_server(tmp_path):
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass Rule:\n"
        "    factor: float\n\n\ndef process(scores):\n    return [Rule(2.0).factor * score for score in scores]\n"
    )
    section = PackagingSection(post_processing="post.py", post_processing_code=code)
    assert load_package(write_package(tmp_path / "package", section=section)).process([1.0]) == [2.0]


def test_a_model_in_a_packages_place_is_refused(judge):
    model = judge.bench.publish(RefKind.MODEL, write_package(judge.root / "model-as-package"))
    with pytest.raises(PermanentError, match="passed as a package"):
        judge.decide(model)


class TestFloors:
    def told(self, decision):
        return {name.removeprefix("ndcg_") for name in decision.numbers} & {"bm25", "untrained", "popularity"}

    def test_those_of_a_recipe_that_names_none_are_bm25_and_the_untrained_base(self, judge):
        assert self.told(judge.decide(judge.package())) == {"bm25", "untrained"}
        assert "floors" not in RECIPE.offline_gate.model_dump(mode="json")

    def test_one_that_is_named_is_judged_and_one_that_is_not_is_not(self, judge):
        decision = judge.decide(judge.package(), recipe=with_floors("popularity"))
        assert self.told(decision) == {"popularity"}

    def test_popular_items_may_be_a_floor_that_a_candidate_lies_below(self, tmp_path):
        judge = Judge(tmp_path, prepare=make_the_first_items_popular)
        decision = judge.decide(judge.package(REVERSING), recipe=with_floors("popularity"))
        assert decision.verdict is Verdict.FAIL
        assert decision.numbers["ndcg_popularity"][0] == pytest.approx(1, abs=0.1)

    def test_items_that_nobody_chose_are_in_no_order(self, judge):
        decision = judge.decide(judge.package(), recipe=with_floors("popularity", "untrained"))
        assert decision.numbers["ndcg_popularity"] == decision.numbers["ndcg_untrained"]

    @pytest.mark.parametrize("lost", ["words.parquet", "titles.json", "popularity.parquet"])
    def test_a_data_set_without_what_a_floor_is_made_of_says_what_to_clear(self, tmp_path, lost):
        judge = Judge(tmp_path, prepare=lambda folder: (folder / lost).unlink())
        with pytest.raises(PermanentError, match=f"has no {lost}.*clear build_dataset"):
            judge.decide(judge.package(), recipe=with_floors("bm25", "popularity"))
