"""What a task's `by_unit` gives is held against the metrics that the task declares, before anything is judged by it."""

import pytest

from fakes.relevance import TASK
from fakes.toy_task import ToyExample, ToyMetrics
from recflow.domain.judged import JudgedQuery
from recflow.errors import PermanentError

ROWS = [ToyExample(str(number), (0.0,) * 4, number) for number in range(2)]
ANSWERS = [[1.0, 0.0, 0.0]] * 2
QUERY = JudgedQuery("q", "tea", ("tea", "cup"), ("", ""), (3.0, 0.0), (1.0, 1.0), "head")


class Changed(ToyMetrics):
    """Metrics whose `by_unit` gives something else than it should."""

    def __init__(self, change):
        self.change = change

    def by_unit(self, examples, given, fitted):
        return self.change(super().by_unit(examples, given, fitted))


def test_what_is_declared_is_what_is_judged():
    assert Changed(dict).measured(ROWS, ANSWERS, None) == ToyMetrics().by_unit(ROWS, ANSWERS, None)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda found: found | {"auc": [0.5, 0.5]}, "auc is not declared"),
        (lambda found: {"log_loss": found["log_loss"]}, "accuracy is missing"),
        (lambda found: {"accuracy": found["accuracy"], "auc": [1, 1]}, "auc is not declared; log_loss is missing"),
        (lambda found: found | {"accuracy": [1.0]}, "1 values of accuracy"),
    ],
)
def test_other_metrics_than_the_declared_ones_are_an_error_with_their_names(change, seen):
    with pytest.raises(PermanentError, match=r"Changed\.by_unit does not give what the task declares") as refusal:
        Changed(change).measured(ROWS, ANSWERS, None)
    assert (refusal.value.expected, refusal.value.seen) == ("log_loss, accuracy, for each of 2 rows", seen)


@pytest.mark.parametrize(("threshold", "names"), [(None, {"ndcg@10", "mrr", "recall@10"}), (0.5, {"f1"})])
def test_a_metric_that_needs_what_was_fitted_may_be_missing_where_nothing_was(threshold, names):
    assert TASK.metrics.measured([QUERY], [[0.9, 0.1]], threshold).keys() >= names
