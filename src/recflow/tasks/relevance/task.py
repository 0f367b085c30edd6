"""Relevance as one: what recipes name `relevance`."""

from recflow.config.tasks import CUSTOMARY
from recflow.tasks.base import Examples, Task
from recflow.tasks.relevance.floors import RelevanceFloors
from recflow.tasks.relevance.metrics import RelevanceMetrics
from recflow.tasks.relevance.serving import RelevanceServing


def _examples() -> Examples:
    from recflow.tasks.relevance.examples import RelevanceExamples

    return RelevanceExamples()


TASK = Task("relevance", CUSTOMARY, _examples, RelevanceServing(), RelevanceMetrics(), RelevanceFloors())
