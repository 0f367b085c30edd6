"""Relevance as one: what recipes name `relevance`."""

from recflow.config.tasks import CUSTOMARY
from recflow.tasks.base import Task
from recflow.tasks.relevance.floors import RelevanceFloors
from recflow.tasks.relevance.metrics import RelevanceMetrics
from recflow.tasks.relevance.serving import RelevanceServing

TASK = Task("relevance", CUSTOMARY, RelevanceServing(), RelevanceMetrics(), RelevanceFloors())
