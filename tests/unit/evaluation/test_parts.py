import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.domain.judged import JudgedQuery
from recflow.domain.lexical import words
from recflow.evaluation.paired import attainable_margin, bootstrap
from recflow.evaluation.plots import plot_slices
from recflow.tasks.relevance.floors import Bm25
from recflow.tasks.relevance.metrics import RelevanceMetrics, best_threshold, by_query, f1


def query(grades, descriptions=None, frequency="head", name="q"):
    n = len(grades)
    titles = tuple(f"title {index}" for index in range(n))
    return JudgedQuery(name, name, titles, tuple(descriptions or [""] * n), tuple(grades), (1.0,) * n, frequency)


class TestBootstrap:
    def test_the_interval_agrees_with_the_normal_one_on_many_values(self):
        values = np.random.default_rng(0).normal(0.1, 0.5, 2000)
        found = bootstrap(values, confidence=0.95, samples=2000, seed=1)
        assert found.half_width == pytest.approx(1.96 * values.std() / math.sqrt(2000), rel=0.05)
        assert found.mean == pytest.approx(values.mean())

    def test_equal_seeds_give_equal_intervals(self):
        values = [random.Random(0).random() for _ in range(50)]
        assert bootstrap(values, confidence=0.9, samples=500, seed=3) == bootstrap(
            values, confidence=0.9, samples=500, seed=3
        )

    def test_one_query_has_no_interval(self):
        with pytest.raises(ValueError, match="two units"):
            bootstrap([0.5], confidence=0.95, samples=200, seed=1)

    def test_it_covers_the_truth_about_as_often_as_it_says(self):
        chance = np.random.default_rng(5)
        samples = (bootstrap(chance.normal(0, 1, 60), confidence=0.95, samples=400, seed=1) for _ in range(300))
        assert 0.9 <= np.mean([found.low <= 0 <= found.high for found in samples]) <= 0.98


def test_the_attainable_margin_is_the_half_width_of_equal_models():
    assert attainable_margin(40) == pytest.approx(0.0279, abs=1e-4)
    assert attainable_margin(4000) == pytest.approx(attainable_margin(40) / 10)
    assert attainable_margin(1) == math.inf


def bm25_of(titles):
    """The floor as these titles make it."""
    documents = [words(title) for title in titles]
    found = Counter(word for document in documents for word in set(document))
    return Bm25(found, len(titles), sum(map(len, documents)) / len(titles))


class TestBm25:
    def test_by_hand(self):
        bm25 = bm25_of(["red shoe", "blue shoe", "green hat"])
        idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
        assert bm25.score("red", ["red shoe"])[0] == pytest.approx(idf * 2.5 / (1 + 1.5))

    def test_a_rare_word_counts_more_than_a_common_one(self):
        bm25 = bm25_of(["red shoe", "blue shoe", "green shoe"])
        rare, common = bm25.score("red shoe", ["red hat", "pink shoe"])
        assert rare > common

    def test_a_title_without_the_words_scores_zero(self):
        assert bm25_of(["red shoe"]).score("tent", ["red shoe", ""]) == [0, 0]


class TestMetrics:
    def test_f1_by_hand(self):
        assert f1([3, 2, 0, 1], [0.9, 0.1, 0.8, 0.0], 0.5) == pytest.approx(2 * 1 / (2 + 2))

    def test_f1_of_a_query_without_a_relevant_item_is_unknown(self):
        assert f1([1, 0], [0.9, 0.1], 0.5) is None

    def test_the_threshold_is_the_best_one_on_its_queries(self):
        queries = [query([3, 3, 0, 0])] * 10
        threshold = best_threshold(queries, [[0.9, 0.7, 0.3, 0.1]] * 10)
        assert 0.3 < threshold <= 0.7

    def test_without_queries_there_is_no_threshold_and_no_f1(self):
        assert best_threshold([], []) is None
        assert "f1" not in by_query([query([3, 0])], [[1, 0]], None)

    def test_a_query_without_an_answer_has_no_value_and_scores_that_are_no_numbers_have_nan(self):
        found = by_query([query([3, 0])] * 2, [None, [math.nan, 0.0]], 0.5)
        assert {name: values[0] for name, values in found.items()} == dict.fromkeys(found)
        assert all(math.isnan(values[1]) for values in found.values())

    @given(st.lists(st.floats(0, 3), min_size=2, max_size=12), st.randoms())
    def test_every_metric_lies_between_zero_and_one(self, grades, chance):
        scores = [chance.random() for _ in grades]
        measured = by_query([query(grades)], [scores], 0.5)
        assert all(value is None or 0 <= value <= 1 for (value,) in measured.values())


class TestSlices:
    def part(self, name, judged):
        return RelevanceMetrics().part(name, judged, [float(index) for index in range(len(judged.titles))])

    def test_frequency_takes_whole_queries(self):
        tail = query([1, 2], frequency="tail")
        assert self.part("tail", tail) == (tail, [0.0, 1.0])
        assert self.part("tail", query([1, 2])) is None

    def test_descriptions_split_a_query_and_its_answer_by_its_items(self):
        judged = query([1, 2, 3, 0], ["a", "", "b", ""])
        assert self.part("with_description", judged) == (judged.only((0, 2)), [0.0, 2.0])
        assert self.part("without_description", judged) == (judged.only((1, 3)), [1.0, 3.0])

    def test_a_query_without_an_item_of_the_slice_is_left_out(self):
        assert self.part("with_description", query([1, 2], ["", ""])) is None

    def test_a_query_that_was_not_answered_stays_so_in_its_slice(self):
        assert RelevanceMetrics().part("head", query([1, 2]), None) == (query([1, 2]), None)


def test_the_plot_shows_each_interval(tmp_path):
    finding = Finding(rule="r", verdict=Verdict.PASS, reason="", value=0.1, low=0.0, high=0.2, limit=-0.1, n=30)
    decision = Decision(gate="offline", verdict=Verdict.PASS, reasons=(), findings=(finding, finding))
    plot_slices(decision, tmp_path / "findings.png", "query")
    assert (tmp_path / "findings.png").read_bytes().startswith(b"\x89PNG")


def test_a_decision_without_intervals_has_no_plot(tmp_path):
    plot_slices(Decision(gate="offline", verdict=Verdict.PASS, reasons=()), tmp_path / "findings.png", "query")
    assert list(tmp_path.iterdir()) == []
