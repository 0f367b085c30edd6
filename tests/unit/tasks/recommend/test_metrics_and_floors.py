"""What recommendations are judged by, by hand."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fakes.recommend_world import recommend_recipe
from recflow.tasks.base import Basis
from recflow.tasks.recommend.catalogue import Catalogue
from recflow.tasks.recommend.floors import RecommendFloors, Wordings
from recflow.tasks.recommend.judged import JudgedUser, Known
from recflow.tasks.recommend.metrics import RecommendMetrics

METRICS, FLOORS = RecommendMetrics(), RecommendFloors()
CATALOGUE = Catalogue(
    pa.array([*"abcde"]),
    ("red hat", "red shoe", "blue hat", "green tea", "black tea"),
    np.array([True, True, True, True, False]),
    np.array([5, 4, 3, 0, 9]),
)
KNOWN = Known(
    dict(zip("abcde", CATALOGUE.interactions.tolist(), strict=True)),
    dict(zip("abcde", CATALOGUE.texts, strict=True)),
    CATALOGUE,
)


def user(history="a", targets="b", **changes):
    made = JudgedUser("u", tuple(history), (0.0,) * len(history), tuple(targets), 0.0, "", KNOWN)
    return replace(made, **changes)


def chosen(items):
    return [(item, 1.0 / place) for place, item in enumerate(items, start=1)], False


def measured(name, one, items):
    return METRICS.by_unit([one], [None if items is None else chosen(items)], None)[name][0]


@pytest.mark.parametrize(
    ("items", "ndcg", "recall", "mrr"),
    [("bc", 1, 1, 1), ("xbyc", (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3)), 1, 0.5), ("xy", 0, 0, 0)],
)
def test_two_targets_in_a_list(items, ndcg, recall, mrr):
    one = user(targets="bc")
    assert measured("ndcg@10", one, items) == pytest.approx(ndcg)
    assert (measured("recall@10", one, items), measured("mrr@10", one, items)) == (recall, mrr)


def test_who_has_no_history_or_no_answer_cannot_tell():
    assert measured("ndcg@10", user(history=""), "b") is None
    assert measured("ndcg@10", user(), None) is None


def test_a_slice_holds_the_new_targets_or_the_users_with_short_histories():
    part, _ = METRICS.part("new_items", user(targets="bdz"), chosen("d"))
    assert part.targets == ("d", "z")
    assert METRICS.part("new_items", user(targets="bc"), chosen("b")) is None
    assert METRICS.part("short_histories", user(history="abcd"), None) is not None
    assert METRICS.part("short_histories", user(history="abcda"), None) is None


def test_coverage_popularity_and_diversity_of_what_is_shown():
    told = METRICS.overall([user(), user()], [chosen("ab"), chosen("ac")])
    assert told == {"coverage@10": 0.75, "popularity@10": 0.45, "diversity@10": round(1 - 1 / 3, 4)}
    assert METRICS.overall([user()], [None]) == {}


@pytest.mark.parametrize(("training", "expected"), [({}, "bcd"), ({"exclude_seen": False}, "abcd"),
                                                     ({"banned": ["b"]}, "cd")])  # fmt: skip
def test_popularity_shows_what_may_be_shown(training, expected):
    ((pairs, of_floor),) = FLOORS.given("popularity", Basis(recommend_recipe(training=training), None, None), [user()])
    assert "".join(item for item, _ in pairs) == expected
    assert of_floor


def test_the_untrained_floor_shows_what_is_called_alike():
    ((pairs, _),) = FLOORS.given("untrained", Basis(recommend_recipe(training={}), None, None), [user(history="d")])
    assert [item for item, _ in pairs] == ["a", "b", "c"]
    assert Wordings(CATALOGUE.texts).scores(np.array([0])).tolist()[3:] == [0, 0]
