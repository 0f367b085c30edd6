"""Held-out examples, a package's answers to them, and what those answers measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recflow.evaluation.packaged import Package
from recflow.tasks.base import ByUnit, Metrics


@dataclass(frozen=True)
class Measured:
    """Metrics by slice ("" is every example), why units got no answer, one reason each, and what all answers tell."""

    parts: Mapping[str, ByUnit]
    failures: tuple[str, ...]
    overall: Mapping[str, float]


@dataclass(frozen=True)
class HeldOut:
    """The examples that a package answers, and how its answers are measured."""

    metrics: Metrics[Any, Any]
    test: Sequence[Any]
    validation: Sequence[Any]

    def measure(self, package: Package) -> Measured:
        """The metrics of a package by unit; what they need to know of its answers is fitted on `validation`."""
        answers = package.answers([self.metrics.request(example) for example in (*self.validation, *self.test)])
        given = [None if isinstance(found, Exception) else found for found in answers]
        first = len(self.validation)
        fitted = self.metrics.fitted(self.validation, given[:first])
        errors = [found for found in answers[first:] if isinstance(found, Exception)]
        failures = tuple(f"{type(error).__name__}: {error}"[:200] for error in errors)
        overall = self.metrics.overall(self.test, given[first:])
        return Measured(self._by_slice(given[first:], fitted), failures, overall)

    def _by_slice(self, given: Sequence[Any], fitted: Any) -> dict[str, ByUnit]:
        measured = {"": self.metrics.measured(self.test, given, fitted)}
        for name in self.metrics.slices:
            pairs = zip(self.test, given, strict=True)
            parts = [part for example, answer in pairs if (part := self.metrics.part(name, example, answer))]
            if parts:
                examples, answers = zip(*parts, strict=True)
                measured[name] = self.metrics.measured(examples, answers, fitted)
        return measured
