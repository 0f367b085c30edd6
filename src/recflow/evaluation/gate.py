"""The offline gate: a pure function from evidence to a decision. Rules and their reasons: docs/concepts.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.refs import Numbers
from recflow.config.sections.gate import ChangeRule, OfflineGateSection, SliceRule, ValueRule
from recflow.evaluation.metrics import ByQuery
from recflow.evaluation.paired import Estimate, bootstrap

GATE = "offline"
_NEAR_ZERO = 0.01
_MAIN = "ndcg@10"


@dataclass(frozen=True)
class Evidence:
    """Metrics by query on the same test rows, by slice; "" is every row.

    Lists of candidate, baseline and floors belong to the same queries in the same order. `baseline` is None for a
    line's first model. A slice that no row belongs to has no entry.
    """

    candidate: Mapping[str, ByQuery]
    baseline: Mapping[str, ByQuery] | None = None
    floors: Mapping[str, ByQuery] = field(default_factory=dict)


def decide(section: OfflineGateSection, evidence: Evidence) -> Decision:
    """Judge every rule; FAIL beats INCONCLUSIVE beats PASS, and only blocking findings count."""
    judge = _Judge(section, evidence)
    findings = tuple(judge.findings())
    verdict = _combine([finding for finding in findings if finding.blocking])
    return Decision(
        gate=GATE, verdict=verdict, reasons=_reasons(verdict, findings), findings=findings, numbers=judge.numbers()
    )


@dataclass(frozen=True)
class _Judge:
    section: OfflineGateSection
    evidence: Evidence

    def findings(self) -> Iterator[Finding]:
        yield self._size()
        yield from map(self._value, self.section.values)
        yield from map(self._change, self.section.changes)
        for floor, metrics in self.evidence.floors.items():
            yield self._against_floor(floor, metrics)
        yield from map(self._slice, self.section.slices)

    def numbers(self) -> Numbers:
        """nDCG@10 as [mean, low, high] of candidate, baseline and floors, and of the paired difference."""
        rivals = {"candidate": self.evidence.candidate.get("", {}), **self.evidence.floors}
        if self.evidence.baseline is not None:
            rivals["baseline"] = self.evidence.baseline.get("", {})
        found: Numbers = {"queries": len(_known(rivals["candidate"], _MAIN))}
        for name, metrics in rivals.items():
            found[f"ndcg_{name}"] = _rounded(self._estimate(_known(metrics, _MAIN)))
        if self.evidence.baseline is not None:
            change = self._estimate(_differences(rivals["candidate"], rivals["baseline"], _MAIN))
            found["ndcg_change"] = _rounded(change)
            found["attainable_margin"] = round(change.half_width, 4) if change else None
        return found

    def _size(self) -> Finding:
        n = len(_known(self.evidence.candidate.get("", {}), _MAIN))
        least = self.section.min_queries
        verdict = Verdict.PASS if n >= least else Verdict.INCONCLUSIVE
        return Finding(
            rule="test queries", verdict=verdict, reason=f"{n} test queries, at least {least}", n=n, limit=least
        )

    def _value(self, rule: ValueRule) -> Finding:
        name = _named(rule.metric, rule.slice)
        if rule.slice and (finding := self._thin(name, rule.slice)):
            return finding
        values = _known(self.evidence.candidate.get(rule.slice, {}), rule.metric)
        if not values:
            return _missing(name, rule.metric)
        mean = sum(values) / len(values)
        verdict = Verdict.PASS if mean >= rule.minimum else Verdict.FAIL
        reason = f"{name} is {mean:.4f}, at least {rule.minimum:g}"
        return Finding(rule=name, verdict=verdict, reason=reason, value=mean, limit=rule.minimum, n=len(values))

    def _change(self, rule: ChangeRule) -> Finding:
        name = f"{_named(rule.metric, rule.slice)} against the serving model"
        if self.evidence.baseline is None:
            reason = f"{name}: skipped, this is the line's first model"
            return Finding(rule=name, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
        if rule.slice and (finding := self._thin(name, rule.slice)):
            return finding
        candidate, baseline = (side.get(rule.slice, {}) for side in (self.evidence.candidate, self.evidence.baseline))
        for side in (candidate, baseline):
            if not _known(side, rule.metric):
                return _missing(name, rule.metric)
        base = _known(baseline, rule.metric)
        if sum(base) / len(base) < _NEAR_ZERO:
            reason = f"{name}: the serving model's own value is near 0, no change can be told from it"
            return Finding(rule=name, verdict=Verdict.INCONCLUSIVE, reason=reason, value=sum(base) / len(base))
        return self._bound(name, _differences(candidate, baseline, rule.metric), rule.max_drop)

    def _against_floor(self, floor: str, metrics: ByQuery) -> Finding:
        name = f"{_MAIN} against the floor {floor}"
        overall = self.evidence.candidate.get("", {})
        for side in (overall, metrics):
            if not _known(side, _MAIN):
                return _missing(name, _MAIN)
        return self._bound(name, _differences(overall, metrics, _MAIN), self.section.floor_margin)

    def _slice(self, rule: SliceRule) -> Finding:
        """Whether the slice is there and large enough; its nDCG is shown, rules that name it judge it."""
        name = f"slice {rule.name}"
        if finding := self._thin(name, rule.name):
            return finding
        shown = self._estimate(_known(self.evidence.candidate[rule.name], _MAIN))
        assert shown is not None
        reason = f"{name}: nDCG@10 {shown.mean:.4f} [{shown.low:.4f}, {shown.high:.4f}] on {shown.n} queries"
        return _finding(name, Verdict.PASS, reason, shown, None)

    def _thin(self, name: str, part: str) -> Finding | None:
        """The finding for a slice that is absent or too small to be judged."""
        rule = next((rule for rule in self.section.slices if rule.name == part), None)
        least, required = (rule.min_queries, rule.required) if rule else (self.section.min_queries, False)
        if part not in self.evidence.candidate:
            return Finding(
                rule=name, verdict=Verdict.FAIL, reason=f"{name}: no query with two items belongs to {part}", n=0
            )
        n = len(_known(self.evidence.candidate[part], _MAIN))
        if n >= max(2, least):
            return None
        reason = f"{name}: {n} queries in {part}, fewer than {least}: not judged"
        return Finding(rule=name, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=required, n=n, limit=least)

    def _bound(self, name: str, differences: Sequence[float], margin: float) -> Finding:
        """Non-inferiority by the lower bound of the paired difference, never by its point."""
        found = self._estimate(differences)
        if found is None:
            reason = f"{name}: only {len(differences)} queries can be compared"
            return Finding(rule=name, verdict=Verdict.INCONCLUSIVE, reason=reason, n=len(differences))
        seen = f"{name}: {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        if found.low >= -margin:
            return _finding(name, Verdict.PASS, f"{seen} is above -{margin:g}", found, -margin)
        if found.high < 0:
            return _finding(name, Verdict.FAIL, f"{seen} is worse for certain", found, -margin)
        if found.half_width > margin:
            reason = f"{seen} is wider than the margin {margin:g}: {found.n} queries cannot tell"
            return _finding(name, Verdict.INCONCLUSIVE, reason, found, -margin)
        return _finding(name, Verdict.FAIL, f"{seen} may lie below -{margin:g}", found, -margin)

    def _estimate(self, values: Sequence[float]) -> Estimate | None:
        section = self.section
        if len(values) < 2:
            return None
        return bootstrap(values, confidence=section.confidence, samples=section.bootstrap_samples, seed=section.seed)


def _known(metrics: ByQuery, metric: str) -> list[float]:
    return [value for value in metrics.get(metric, []) if value is not None]


def _differences(candidate: ByQuery, baseline: ByQuery, metric: str) -> list[float]:
    pairs = zip(candidate.get(metric, []), baseline.get(metric, []), strict=True)
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def _named(metric: str, part: str) -> str:
    return f"{metric} on {part}" if part else metric


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
    deciding = [finding.reason for finding in findings if finding.blocking and finding.verdict is not Verdict.PASS]
    if verdict is Verdict.PASS:
        deciding = [finding.reason for finding in findings if finding.blocking]
    skipped = [finding.reason for finding in findings if not finding.blocking]
    return tuple(dict.fromkeys(deciding + skipped))
