"""Recommending as one: what recipes name `recommend`."""

from recflow.config.tasks import Sections
from recflow.tasks.base import Examples, Task, Trainer
from recflow.tasks.recommend.floors import RecommendFloors
from recflow.tasks.recommend.metrics import RecommendMetrics
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.sections import RecommendGate, RecommendLabels
from recflow.tasks.recommend.serving import RecommendServing


def _examples() -> Examples:
    from recflow.tasks.recommend.examples import RecommendExamples

    return RecommendExamples()


def _trainer() -> Trainer:
    from recflow.tasks.recommend.trainer import RecommendTrainer

    return RecommendTrainer()


SECTIONS = Sections(RecommendLabels, RecommendTraining, RecommendGate)
TASK = Task("recommend", SECTIONS, _examples, RecommendServing(), RecommendMetrics(), RecommendFloors(), _trainer)
