"""The infra check: what the real server shows of a candidate before any shopper does.

Served answers are held against the golden ones, where the task's answers have an axis at several sizes of it, since a
model that answers five items well may answer twenty in reverse. A golden request is cut or repeated to the size: each
element is judged by itself, so its golden answer is the same in any company; what comes after the scorer
(post-processing) may not be so innocent.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.domain.ages import age_s
from recflow.domain.golden import Golden, read_golden
from recflow.domain.signatures import Tensors, numbers
from recflow.errors import AnswerMalformed, ModelWontLoad, ServerUnavailable
from recflow.protocols import Clock, ModelServer
from recflow.tasks.base import Ordered, Serving, is_strict, refuse_other_signature

MIN_ORDER_AGREEMENT = 0.99
LATENCY_REQUESTS = 60
WARM_UP_REQUESTS = 5
LATENCY_SIZE = 20
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Version:
    """One version on the server, as the check asks it."""

    server: ModelServer
    recipe: str
    version: str

    def answer(self, inputs: Tensors) -> Tensors:
        """The served answer; ServerUnavailable when there is none, AnswerMalformed for what is none."""
        return self.server.infer(self.recipe, self.version, inputs, timeout_s=TIMEOUT_S)

    def try_answer(self, inputs: Tensors, sound: Tensors) -> Tensors | None:
        """The served answer; None when it is malformed, or this request alone fails: `sound` is still answered."""
        try:
            return self.answer(inputs)
        except AnswerMalformed:
            return None
        except ServerUnavailable:
            with suppress(AnswerMalformed):
                self.answer(sound)
            return None


@dataclass(frozen=True)
class Goldens:
    """The golden requests of a package, at sizes of the task's axis; without one they are asked as they are."""

    serving: Serving[Any]
    requests: tuple[Golden, ...]

    @classmethod
    def of(cls, serving: Serving[Any], package: Path) -> "Goldens":
        """Those that ask for anything. Raises ArtifactCorrupt when there are none."""
        found = read_golden(package, serving.golden)
        lengths = [serving.signature.lengths(golden.inputs).get(serving.axis, 1) for golden in found]
        return cls(serving, tuple(golden for golden, length in zip(found, lengths, strict=True) if length))

    @cached_property
    def sound(self) -> Tensors:
        """A request that every version answers that answers at all: the first one, as small as it can be."""
        return self.sized(1)[0].inputs

    def sized(self, size: int) -> list[Golden]:
        """All of them at one size."""
        serving = self.serving
        if not serving.axis:
            return list(self.requests)
        return [golden.sized(serving.signature, serving.axis, size) for golden in self.requests]

    def sizes(self, limits: InfraLimits) -> Sequence[int]:
        """The sizes to ask at; without an axis there is one."""
        return limits.batch_sizes if self.serving.axis else (1,)

    def told(self, size: int) -> str:
        """A size in words, to stand behind `of`."""
        return f"{size} {self.serving.axis}" if self.serving.axis else "the package's size"


def check(
    server: ModelServer,
    recipe: str,
    version: str,
    package: Path,
    *,
    serving: Serving[Any],
    baseline: str,
    limits: InfraLimits,
    clock: Clock,
) -> Decision:
    """Load the package as `version` and judge answers, speed and memory; `baseline` is what serves now, or empty.

    The version stays loaded whatever the verdict. Raises ServerUnavailable when the server itself does not answer.
    """
    candidate = Version(server, recipe, version)
    known, before_mb, start = version in server.loaded(recipe), server.memory_mb(), clock.now()
    try:
        refuse_other_signature(serving, package)
        goldens = Goldens.of(serving, package)
        server.load(recipe, version, package)
    except ModelWontLoad as error:
        seen = {"expected": error.expected[:600], "seen": error.seen[:600]}
        return _decide([Finding(rule="load", verdict=Verdict.FAIL, reason=error.what, n=0)], seen)
    strict = is_strict(serving, package)
    try:
        warm_up = [candidate.try_answer(golden.inputs, goldens.sound) for golden in goldens.requests[:WARM_UP_REQUESTS]]
        load_s = age_s(start, clock.now())
        findings = [
            _at_most("load", load_s, limits.load_timeout_s, f"loaded and warm in {load_s:.1f} s", n=len(warm_up)),
            *_golden_findings(candidate, goldens, limits, strict=strict),
            *_odd_requests(candidate, goldens),
            *_latency(candidate, goldens, limits, clock),
            _memory(server.memory_mb() - before_mb, limits, known=known),
            _shift(candidate, replace(candidate, version=baseline), goldens),
        ]
    except ServerUnavailable as error:
        if version in server.loaded(recipe):
            raise
        reason = f"{version} loaded and then stopped answering while the server went on: {error.seen}"
        findings = [Finding(rule="answers", verdict=Verdict.FAIL, reason=reason)]
    return _decide(findings, {"version": version, "baseline": baseline, "goldens": len(goldens.requests)})


def _golden_findings(candidate: Version, goldens: Goldens, limits: InfraLimits, *, strict: bool) -> Iterator[Finding]:
    """Difference and order at each size. Post-processing may change the scale (then not blocking), never the order."""
    serving = goldens.serving
    for size in goldens.sizes(limits):
        sized = goldens.sized(size)
        answers = [candidate.try_answer(golden.inputs, goldens.sound) for golden in sized]
        pairs = [(golden, answer) for golden, answer in zip(sized, answers, strict=True) if answer is not None]
        if len(pairs) < len(sized):
            reason = f"a golden request of {goldens.told(size)} was not answered as the signature says"
            yield Finding(rule=f"golden_{size}", verdict=Verdict.FAIL, reason=reason, n=len(sized))
            continue
        worst = max(serving.difference(golden.outputs, answer) for golden, answer in pairs)
        reason = f"served answers of {goldens.told(size)} differ from golden ones by up to {worst:.4f}"
        yield _at_most(f"golden_{size}", worst, limits.atol, reason, n=len(sized), blocking=strict)
        if serving.ordered:
            orders = [serving.order(golden.outputs, answer, limits.atol) for golden, answer in pairs]
            yield _order(size, goldens.told(size), orders, limits.atol)


def _order(size: int, told: str, orders: Sequence[Ordered], atol: float) -> Finding:
    """Share of pairs in golden order, over pairs that noise of `atol` on both sides cannot turn."""
    pairs = sum(order.pairs for order in orders)
    rule = f"order_{size}"
    if not pairs:
        reason = f"no two golden answers of {told} differ by more than {2 * atol:g}"
        return Finding(rule=rule, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False, n=0)
    share = sum(order.kept for order in orders) / pairs
    return Finding(
        rule=rule,
        verdict=Verdict.PASS if share >= MIN_ORDER_AGREEMENT else Verdict.FAIL,
        reason=f"{share:.1%} of the pairs of {told} are served in golden order",
        value=share,
        limit=MIN_ORDER_AGREEMENT,
        n=pairs,
    )


def _odd_requests(candidate: Version, goldens: Goldens) -> Iterator[Finding]:
    requests = goldens.serving.odd_requests()
    if not requests:
        return
    bad = sum(candidate.try_answer(request, goldens.sound) is None for request in requests)
    reason = f"{len(requests) - bad} of {len(requests)} odd requests were answered as the signature says"
    verdict = Verdict.FAIL if bad else Verdict.PASS
    yield Finding(rule="odd_requests", verdict=verdict, reason=reason, value=float(bad), limit=0.0, n=len(requests))


def _latency(candidate: Version, goldens: Goldens, limits: InfraLimits, clock: Clock) -> tuple[Finding, Finding]:
    """p50 (shown) and p95 (judged) of one client's requests of 20 elements, as this process sees them.

    Every request is new to the server: the answers of a cache say nothing about a busy day.
    """
    elapsed = []
    for number, golden in enumerate(islice(cycle(goldens.sized(LATENCY_SIZE)), LATENCY_REQUESTS)):
        request, start = goldens.serving.unseen(golden.inputs, number), clock.now()
        candidate.try_answer(request, goldens.sound)
        elapsed.append(age_s(start, clock.now()) * 1000)
    elapsed.sort()
    p50, p95 = (elapsed[math.ceil(share * len(elapsed)) - 1] for share in (0.5, 0.95))
    reason = f"p95 of {goldens.told(LATENCY_SIZE)} is {p95:.1f} ms"
    shown = Finding(
        rule="p50_ms", verdict=Verdict.PASS, reason=f"p50 is {p50:.1f} ms", blocking=False, value=p50, n=len(elapsed)
    )
    return shown, _at_most("p95_ms", p95, limits.max_p95_ms, reason, n=len(elapsed))


def _memory(growth_mb: float, limits: InfraLimits, *, known: bool) -> Finding:
    if known:
        reason = "the version was loaded before the check began: its memory cannot be told apart"
        return Finding(rule="memory_mb", verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
    return _at_most("memory_mb", growth_mb, limits.max_memory_mb, f"the server grew by {growth_mb:.0f} MiB", n=1)


def _shift(candidate: Version, baseline: Version, goldens: Goldens) -> Finding:
    """Kolmogorov-Smirnov distance of the numbers that two versions answer to golden requests: shown, never blocking."""
    rule, asked = "score_shift", [golden.inputs for golden in goldens.requests] if baseline.version else []
    try:
        theirs = [number for inputs in asked for number in numbers(baseline.answer(inputs))]
    except ServerUnavailable:
        theirs = []
    if not theirs:
        reason = f"{baseline.version} did not answer" if baseline.version else "nothing serves yet"
        return Finding(rule=rule, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
    answers = [candidate.try_answer(inputs, goldens.sound) for inputs in asked]
    ours = [number for answer in answers if answer is not None for number in numbers(answer)]
    if not ours:
        reason = f"{candidate.version} answered no golden request"
        return Finding(rule=rule, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
    distance = ks_distance(ours, theirs)
    reason = f"scores moved by a Kolmogorov-Smirnov distance of {distance:.2f} against {baseline.version}"
    return Finding(rule=rule, verdict=Verdict.PASS, reason=reason, blocking=False, value=distance, n=len(ours))


def ks_distance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The largest gap between two empirical distribution functions, in [0, 1]."""
    a, b = sorted(ours), sorted(theirs)
    return max(abs(bisect_right(a, x) / len(a) - bisect_right(b, x) / len(b)) for x in {*a, *b})


def _at_most(rule: str, value: float, limit: float, reason: str, *, n: int, blocking: bool = True) -> Finding:
    verdict = Verdict.PASS if value <= limit else Verdict.FAIL
    return Finding(
        rule=rule,
        verdict=verdict,
        reason=f"{reason}, limit {limit:g}",
        blocking=blocking,
        value=value,
        limit=limit,
        n=n,
    )


def _decide(findings: list[Finding], told: Mapping[str, str | int]) -> Decision:
    failed = [finding.reason for finding in findings if finding.blocking and finding.verdict is Verdict.FAIL]
    return Decision(
        gate="infra_check",
        verdict=Verdict.FAIL if failed else Verdict.PASS,
        reasons=tuple(failed) or ("answers, speed and memory are as they should be",),
        findings=tuple(findings),
        numbers={**told},
    )
