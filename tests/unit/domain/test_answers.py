"""Both kinds of answers: a score for each thing that was asked about, and items that a model chose."""

from recflow.domain.answers import answer


class Chooses:
    def score_many(self, requests):
        if "broken" in requests:
            raise RuntimeError("cannot")
        return [([("a", 3.0), ("b", 2.0)], request == "new") for request in requests]


class Scores:
    def score_many(self, requests):
        return [[1.0, 2.0] for _ in requests]


def negated(scores):
    return [-score for score in scores]


def test_scores_stay_a_list_and_post_processing_changes_them():
    assert answer(Scores(), negated, ["one"]) == [[-1.0, -2.0]]


def test_chosen_items_keep_what_is_told_beside_them():
    assert answer(Chooses(), list, ["one", "new"]) == [
        ([("a", 3.0), ("b", 2.0)], False),
        ([("a", 3.0), ("b", 2.0)], True),
    ]


def test_the_order_of_chosen_items_follows_their_scores_after_post_processing():
    assert answer(Chooses(), negated, ["one"]) == [([("b", -2.0), ("a", -3.0)], False)]


def test_post_processing_that_loses_a_score_fails_its_request():
    (failed,) = answer(Chooses(), lambda scores: scores[:1], ["one"])
    assert "turned 2 scores into 1" in str(failed)


def test_a_request_that_fails_leaves_the_others_their_items():
    failed, sound = answer(Chooses(), list, ["broken", "one"])
    assert isinstance(failed, RuntimeError)
    assert sound == ([("a", 3.0), ("b", 2.0)], False)
