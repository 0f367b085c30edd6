"""The offline gate: a pure function from evidence to a decision. Rules and their reasons: docs/concepts.md."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.refs import Numbers
from recflow.config.sections.gate import JudgedSection, LimitRule, MarginRule, PartRule
from recflow.evaluation.evidence import Evidence, named
from recflow.evaluation.paired import Estimate, differences, estimate
from recflow.tasks.base import ByUnit, Metrics

GATE = "offline"
_NEAR_ZERO = 0.01


def decide(section: JudgedSection, evidence: Evidence, metrics: Metrics[Any, Any]) -> Decision:
    """Judge every rule; FAIL beats INCONCLUSIVE beats PASS, and only blocking findings count."""
    known = metrics.by_name
    judge = _Judge(section, evidence.usable(known), metrics)
    findings = (*judge.findings(), *evidence.unusable(known, metrics.units))
    verdict = _combine([finding for finding in findings if finding.blocking])
    return Decision(
        gate=GATE, verdict=verdict, reasons=_reasons(verdict, findings), findings=findings, numbers=judge.numbers()
    )


@dataclass(frozen=True)
class _Judge:
    section: JudgedSection
    evidence: Evidence
    metrics: Metrics[Any, Any]

    def findings(self) -> Iterator[Finding]:
        yield self._size()
        yield from map(self._value, self.section.values)
        yield from map(self._change, self.section.changes)
        for floor, metrics in self.evidence.floors.items():
            yield self._against_floor(floor, metrics)
        yield from map(self._slice, self.section.slices)
        yield from self._answers()

    def numbers(self) -> Numbers:
        """The main metric as [mean, low, high] of candidate, baseline and floors, and of the paired difference.

        Of the units under `test_<units>` those under `<units>` could tell; `unanswered` ones got no answer from the
        candidate.
        """
        units, short = self.metrics.units, self.metrics.short
        rivals = {"candidate": self._overall, **self.evidence.floors}
        if self.evidence.baseline is not None:
            rivals["baseline"] = self.evidence.baseline.get("", {})
        found: Numbers = {
            units: len(_known(self._overall, self._main)),
            f"test_{units}": len(self._overall.get(self._main, [])),
            "unanswered": len(self.evidence.failures),
        }
        for name, metrics in rivals.items():
            found[f"{short}_{name}"] = _rounded(self._estimate(_known(metrics, self._main)))
        if self.evidence.baseline is not None:
            change = self._estimate(self._differences(rivals["candidate"], rivals["baseline"], self._main))
            found[f"{short}_change"] = _rounded(change)
            found["attainable_margin"] = round(change.half_width, 4) if change else None
        return found

    @property
    def _main(self) -> str:
        return self.metrics.main.name

    @property
    def _overall(self) -> ByUnit:
        return self.evidence.candidate.get("", {})

    def _size(self) -> Finding:
        n, least, units = len(_known(self._overall, self._main)), self.section.least, self.metrics.units
        verdict = Verdict.PASS if n >= least else Verdict.INCONCLUSIVE
        reason = f"{n} of {len(self._overall.get(self._main, []))} test {units} {self.metrics.tells}, at least {least}"
        return Finding(rule=f"test {units}", verdict=verdict, reason=reason, n=n, limit=least)

    def _value(self, rule: LimitRule) -> Finding:
        name = named(rule.metric, rule.slice)
        if finding := self._unjudged(name, rule.metric, rule.slice):
            return finding
        values = _known(self.evidence.candidate[rule.slice], rule.metric)
        mean = sum(values) / len(values)
        rising = not self.metrics.by_name[rule.metric].lower_is_better
        verdict = Verdict.PASS if (mean >= rule.limit if rising else mean <= rule.limit) else Verdict.FAIL
        reason = f"{name} is {mean:.4f}, at {'least' if rising else 'most'} {rule.limit:g}"
        found = Finding(rule=name, verdict=verdict, reason=reason, value=mean, limit=rule.limit, n=len(values))
        return self._doubted(found, rule.slice)

    def _change(self, rule: MarginRule) -> Finding:
        name = f"{named(rule.metric, rule.slice)} against the serving model"
        if self.evidence.baseline is None:
            reason = f"{name}: skipped, this is the line's first model"
            return Finding(rule=name, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
        if finding := self._unjudged(name, rule.metric, rule.slice):
            return finding
        candidate, baseline = (side.get(rule.slice, {}) for side in (self.evidence.candidate, self.evidence.baseline))
        if rule.metric not in baseline:
            return _missing(name, rule.metric)
        base = _known(baseline, rule.metric)
        rising = not self.metrics.by_name[rule.metric].lower_is_better
        if rising and base and sum(base) / len(base) < _NEAR_ZERO:
            reason = f"{name}: the serving model's own value is near 0, no change can be told from it"
            return Finding(rule=name, verdict=Verdict.INCONCLUSIVE, reason=reason, value=sum(base) / len(base))
        found = self._bound(name, self._differences(candidate, baseline, rule.metric), rule.max_drop)
        return self._doubted(found, rule.slice)

    def _against_floor(self, floor: str, metrics: ByUnit) -> Finding:
        name = f"{self._main} against the floor {floor}"
        if finding := self._unjudged(name, self._main, ""):
            return finding
        if self._main not in metrics:
            return _missing(name, self._main)
        found = self._bound(name, self._differences(self._overall, metrics, self._main), self.section.floor_margin)
        return self._doubted(found, "")

    def _slice(self, rule: PartRule) -> Finding:
        """Whether the slice is there and large enough; its main metric is shown, rules that name it judge it."""
        name = f"slice {rule.name}"
        if finding := self._unjudged(name, self._main, rule.name):
            return finding
        shown = self._estimate(_known(self.evidence.candidate[rule.name], self._main))
        assert shown is not None
        seen = f"{self.metrics.main.told} {shown.mean:.4f} [{shown.low:.4f}, {shown.high:.4f}]"
        reason = f"{name}: {seen} on {shown.n} {self.metrics.units}"
        return _finding(name, Verdict.PASS, reason, shown, None)

    def _answers(self) -> Iterator[Finding]:
        """Requests without an answer, for which shoppers get a fallback: the candidate has none of them."""
        sides = (
            ("answers", "the package", self.evidence.failures, True),
            ("answers of the serving model", "the package that serves", self.evidence.baseline_failures, False),
        )
        for rule, who, failures, blocking in sides:
            if failures:
                left = f"{len(failures)} test {self.metrics.units}"
                reason = f"{rule}: {who} leaves {left} without one, the first by {failures[0]}"
                yield Finding(rule=rule, verdict=Verdict.FAIL, reason=reason, blocking=blocking, n=len(failures))

    def _unjudged(self, name: str, metric: str, part: str) -> Finding | None:
        """The finding for a metric that is missing, that no unit can tell, or whose slice is absent or too small."""
        if part and part not in self.evidence.candidate:
            return Finding(
                rule=name, verdict=Verdict.FAIL, reason=f"{name}: no {self.metrics.unit} belongs to {part}", n=0
            )
        metrics = self.evidence.candidate.get(part, {})
        if metric not in metrics:
            return _missing(name, metric)
        n, total, units = len(_known(metrics, metric)), len(metrics[metric]), self.metrics.units
        least, required = self._least(part)
        if part and n < least:
            reason = f"{name}: {n} of {total} {units} in {part} can tell, fewer than {least}: not judged"
            return Finding(rule=name, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=required, n=n, limit=least)
        if n == 0:
            return Finding(
                rule=name, verdict=Verdict.INCONCLUSIVE, reason=f"{name}: none of {total} {units} can tell", n=0
            )
        return None

    def _least(self, part: str) -> tuple[int, bool]:
        """How many units of a part must be able to tell, and whether it blocks when fewer can."""
        rule = next((rule for rule in self.section.slices if rule.name == part), None)
        return (rule.least, rule.required) if rule else (self.section.least, not part)

    def _doubted(self, found: Finding, part: str) -> Finding:
        """The finding, in doubt where it passed on fewer units than the section asks for."""
        least = self._least(part)[0]
        if found.verdict is not Verdict.PASS or found.n is None or found.n >= least:
            return found
        reason = f"{found.reason}, but only {found.n} {self.metrics.units} can tell, fewer than {least}"
        return found.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": reason})

    def _bound(self, name: str, differences: Sequence[float], margin: float) -> Finding:
        """Non-inferiority by the lower bound of the paired difference, never by its point."""
        found = self._estimate(differences)
        if found is None:
            reason = f"{name}: only {len(differences)} {self.metrics.units} can be compared"
            return Finding(rule=name, verdict=Verdict.INCONCLUSIVE, reason=reason, n=len(differences))
        seen = f"{name}: {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        if found.low >= -margin:
            return _finding(name, Verdict.PASS, f"{seen} is above -{margin:g}", found, -margin)
        if found.high < 0:
            return _finding(name, Verdict.FAIL, f"{seen} is worse for certain", found, -margin)
        if found.half_width > margin:
            reason = f"{seen} is wider than the margin {margin:g}: {found.n} {self.metrics.units} cannot tell"
            return _finding(name, Verdict.INCONCLUSIVE, reason, found, -margin)
        return _finding(name, Verdict.FAIL, f"{seen} may lie below -{margin:g}", found, -margin)

    def _differences(self, candidate: ByUnit, baseline: ByUnit, metric: str) -> list[float]:
        return differences(candidate, baseline, self.metrics.by_name[metric])

    def _estimate(self, values: Sequence[float]) -> Estimate | None:
        return estimate(values, self.section)


def _known(metrics: ByUnit, metric: str) -> list[float]:
    return [value for value in metrics.get(metric, []) if value is not None]


def _missing(rule: str, metric: str) -> Finding:
    return Finding(rule=rule, verdict=Verdict.FAIL, reason=f"{rule}: metric {metric} is missing", n=0)


def _finding(rule: str, verdict: Verdict, reason: str, found: Estimate, limit: float | None) -> Finding:
    return Finding(
        rule=rule,
        verdict=verdict,
        reason=reason,
        value=found.mean,
        low=found.low,
        high=found.high,
        limit=limit,
        n=found.n,
    )


def _rounded(estimate: Estimate | None) -> JsonValue:
    return None if estimate is None else [round(number, 4) for number in (estimate.mean, estimate.low, estimate.high)]


def _combine(findings: Sequence[Finding]) -> Verdict:
    seen = {finding.verdict for finding in findings}
    if Verdict.FAIL in seen:
        return Verdict.FAIL
    # A blocking finding that was not evaluated is a required slice that is too thin.
    if seen & {Verdict.INCONCLUSIVE, Verdict.NOT_EVALUATED}:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def _reasons(verdict: Verdict, findings: Sequence[Finding]) -> tuple[str, ...]:
    """What decided first, then what was left out."""
    blocking = sorted((one for one in findings if one.blocking), key=lambda one: one.verdict is not Verdict.FAIL)
    deciding = [one.reason for one in blocking if verdict is Verdict.PASS or one.verdict is not Verdict.PASS]
    skipped = [finding.reason for finding in findings if not finding.blocking]
    return tuple(dict.fromkeys(deciding + skipped))
