import json
import shutil

import numpy as np
import pytest

from fakes.made_recommender import CYCLE, OPTIONS, asked, cycle_dataset, scorer, trained
from recflow.domain.served_code import load_scorer
from recflow.tasks.recommend.scoring import circumstances, joined, near


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a model that knows the cycle; the item that is gone is not available."""
    folder = tmp_path_factory.mktemp("recommender")
    dataset = cycle_dataset(folder / "dataset", gone=["i11"], texts={"new": "", "I03": "", "i03 ": ""})
    trained(OPTIONS.model_copy(update={"banned": ("i10", "unheard of")}), dataset, folder / "checkpoint")
    scorer(folder / "checkpoint", folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def cycle_scorer(model):
    return load_scorer(model)


def names(scorer, *history, **options):
    ((chosen, _),) = scorer.score_many([asked(*history, **options)])
    return [name for name, _ in chosen]


@pytest.mark.parametrize("place", range(9))
def test_the_item_that_follows_in_the_cycle_comes_first(cycle_scorer, place):
    assert names(cycle_scorer, CYCLE[place])[0] == CYCLE[place + 1]


def test_scores_fall_and_are_told_as_numbers(cycle_scorer):
    ((chosen, by_popularity),) = cycle_scorer.score_many([asked("i02", k=100)])
    scores = [score for _, score in chosen]
    assert not by_popularity
    assert scores == sorted(scores, reverse=True)
    assert {type(score) for score in scores} == {float}


def test_what_is_not_available_banned_excluded_or_seen_is_never_shown(cycle_scorer):
    shown = names(cycle_scorer, "i08", "i09", k=100, exclude=["i00", "unheard of"])
    assert sorted(shown) == sorted({*CYCLE, "new", "I03", "i03 "} - {"i08", "i09", "i10", "i11", "i00"})


def test_a_k_that_is_too_large_gives_what_is_left(cycle_scorer):
    assert len(names(cycle_scorer, "i00", k=10**6)) == 12


def test_nothing_left_is_an_empty_answer(cycle_scorer):
    everything = [*CYCLE, "new", "I03", "i03 "]
    assert names(cycle_scorer, "i00", exclude=everything) == []
    assert names(cycle_scorer, exclude=everything) == []
    assert names(cycle_scorer, "i00", k=0) == []


@pytest.mark.parametrize("history", [(), ("unheard of",)])
def test_without_a_known_history_the_popular_come_first_and_are_told_as_such(cycle_scorer, history):
    ((chosen, by_popularity),) = cycle_scorer.score_many([asked(*history, k=100)])
    assert by_popularity
    acts = [score for _, score in chosen]
    assert acts == sorted(acts, reverse=True)
    assert len(acts) == 13


def test_unknown_items_of_a_history_are_skipped(cycle_scorer):
    told = cycle_scorer.score_many([asked("i01", "unheard of", "i02"), asked("i01", "i02")])
    assert told[0] == told[1]


def test_ids_that_differ_by_case_or_trailing_space_are_different(cycle_scorer):
    assert names(cycle_scorer, "I04") == names(cycle_scorer)
    assert {"I03", "i03 "} < set(names(cycle_scorer, "i03", k=100))


def test_of_a_long_history_the_newest_acts_are_read_and_none_of_all_is_shown(cycle_scorer):
    history = ["i07"] * 5 + ["i05", "i01", "i02"] * 3_331 + ["i03", "i04"]
    assert names(cycle_scorer, *history, k=100)[0] in {"i06", "i08"}
    assert not set(history) & set(names(cycle_scorer, *history, k=100))
    near_past = cycle_scorer.score_many([asked(*history[-OPTIONS.max_length :], k=1, exclude=["i07"])])
    assert cycle_scorer.score_many([asked(*history, k=1)]) == near_past


def test_seen_items_are_shown_where_the_model_says_so(model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    told = json.loads((tmp_path / "model" / "recommender.json").read_text())
    (tmp_path / "model" / "recommender.json").write_text(json.dumps({**told, "exclude_seen": False}))
    assert "i03" in names(load_scorer(tmp_path / "model"), "i03", "i02", k=100)


def test_an_answer_does_not_depend_on_its_company(cycle_scorer):
    requests = [asked("i01"), asked("i01", "i02", "i03"), asked()]
    assert cycle_scorer.score_many(requests) == [cycle_scorer.score_many([request])[0] for request in requests]


def test_time_and_country_are_told_as_codes_and_unknown_ones_as_zero():
    seconds, following = np.array([0.0, 3600.0, 7200.0]), np.array([3600.0, 7200.0, 0.0])
    found = circumstances(seconds, following, np.array([0, 2, 2]))
    assert found.tolist() == [[0, 2, 1, 0], [6, 3, 1, 2], [0, 0, 0, 2]]


def test_times_out_of_order_and_far_apart_have_codes_too():
    found = circumstances(np.array([9e9, 1.0]), np.array([1.0, 9e9]), np.array([0, 0]))
    assert found[:, 0].tolist() == [1, 23]


def test_ties_add_to_the_sequences_scores_by_their_share_of_the_strongest():
    sequence, ties = np.array([[1.0, 2.0, 3.0]] * 2), np.array([[0.0, 4.0, 2.0], [0.0, 0.0, 0.0]])
    found = joined(sequence, ties, 0.5)
    assert found[0] == pytest.approx([1, 2 + np.log(1001) / 2, 3 + np.log(501) / 2])
    assert found[1].tolist() == [1, 2, 3]


def test_older_acts_tie_less():
    neighbours, weights = np.array([[1], [2], [0]]), np.ones((3, 1))
    assert near(np.array([0, 1]), neighbours, weights, 0.5).tolist() == [0, 0.5, 1]
