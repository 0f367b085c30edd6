"""The infra check: what the real server shows of a candidate before any shopper does.

Served scores are held against the golden ones at several request sizes, since a model that answers five items well may
answer twenty in reverse. A golden request is cut or repeated to the size: a scorer judges each item by itself, so an
item's golden score is the same in any company; what comes after the scorer (post-processing) may not be so innocent.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations, cycle, islice
from pathlib import Path

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.domain.ages import age_s
from recflow.domain.golden import GoldenRequest, is_strict, read_golden
from recflow.errors import AnswerMalformed, ModelWontLoad, ServerUnavailable
from recflow.protocols import Clock, ModelServer, RankItem, golden_items

MIN_ORDER_AGREEMENT = 0.99
LATENCY_REQUESTS = 60
WARM_UP_REQUESTS = 5
LATENCY_ITEMS = 20
TIMEOUT_S = 10.0
EDGE_TEXTS = ("", "红色跑鞋 男", "🏃👟", "ｆｕｌｌ　ｗｉｄｔｈ", "\x00\u200b", "<b>&amp;", "long " * 500)


@dataclass(frozen=True)
class Golden:
    """A request with the scores it must get, one an item."""

    query: str
    items: tuple[RankItem, ...]
    scores: tuple[float, ...]

    @classmethod
    def of(cls, request: GoldenRequest) -> "Golden":
        """A golden request of the package."""
        return cls(request.query, golden_items(request), request.scores)

    def sized(self, size: int) -> "Golden":
        """This request with exactly `size` items: the first ones, or all of them again and again."""
        pairs = tuple(islice(cycle(zip(self.items, self.scores, strict=True)), size))
        return Golden(self.query, tuple(item for item, _ in pairs), tuple(score for _, score in pairs))

    def renamed(self, number: int) -> "Golden":
        """This request with texts that no other request has."""
        items = (
            replace(item, title=f"{item.title} {number} {place}", description=f"{item.description} {number} {place}")
            for place, item in enumerate(self.items)
        )
        return replace(self, items=tuple(items))


@dataclass(frozen=True)
class Version:
    """One version on the server, as the check asks it."""

    server: ModelServer
    recipe: str
    version: str

    def score(self, golden: Golden) -> tuple[float, ...]:
        """The served scores; ServerUnavailable when the version does not answer."""
        return self.server.score(self.recipe, self.version, golden.query, golden.items, timeout_s=TIMEOUT_S)

    def try_score(self, golden: Golden, sound: Golden) -> tuple[float, ...]:
        """The served scores; none when they are malformed, or this request alone fails: `sound` is still answered."""
        try:
            return self.score(golden)
        except AnswerMalformed:
            return ()
        except ServerUnavailable:
            with suppress(AnswerMalformed):
                self.score(sound)
            return ()


def check(
    server: ModelServer,
    recipe: str,
    version: str,
    package: Path,
    *,
    baseline: str,
    limits: InfraLimits,
    clock: Clock,
) -> Decision:
    """Load the package as `version` and judge answers, speed and memory; `baseline` is what serves now, or empty.

    The version stays loaded whatever the verdict. Raises ServerUnavailable when the server itself does not answer.
    """
    goldens = [Golden.of(request) for request in read_golden(package) if request.titles]
    candidate = Version(server, recipe, version)
    known, before_mb, start = version in server.loaded(recipe), server.memory_mb(), clock.now()
    try:
        server.load(recipe, version, package)
    except ModelWontLoad as error:
        return _decide([Finding(rule="load", verdict=Verdict.FAIL, reason=error.what, n=0)], {"seen": error.seen[:600]})
    strict = is_strict(package)
    try:
        answers = [candidate.try_score(golden, goldens[0]) for golden in goldens[:WARM_UP_REQUESTS]]
        load_s = age_s(start, clock.now())
        findings = [
            _at_most("load", load_s, limits.load_timeout_s, f"loaded and warm in {load_s:.1f} s", n=len(answers)),
            *_golden_findings(candidate, goldens, limits, strict=strict),
            _edge_texts(candidate, goldens[0]),
            *_latency(candidate, goldens, limits, clock),
            _memory(server.memory_mb() - before_mb, limits, known=known),
            _shift(candidate, replace(candidate, version=baseline), goldens),
        ]
    except ServerUnavailable as error:
        if version in server.loaded(recipe):
            raise
        reason = f"{version} loaded and then stopped answering while the server went on: {error.seen}"
        findings = [Finding(rule="answers", verdict=Verdict.FAIL, reason=reason)]
    return _decide(findings, {"version": version, "baseline": baseline, "goldens": len(goldens)})


def _golden_findings(
    candidate: Version, goldens: Sequence[Golden], limits: InfraLimits, *, strict: bool
) -> Iterator[Finding]:
    """Difference and order at each size. Post-processing may change the scale (then not blocking), never the order."""
    for size in limits.batch_sizes:
        sized = [golden.sized(size) for golden in goldens]
        answers = [candidate.try_score(golden, goldens[0].sized(1)) for golden in sized]
        whole = all(len(answer) == size and all(map(math.isfinite, answer)) for answer in answers)
        if not whole:
            reason = f"a golden request of {size} items was not answered with {size} numbers"
            yield Finding(rule=f"golden_{size}", verdict=Verdict.FAIL, reason=reason, n=len(sized))
            continue
        pairs = list(zip(sized, answers, strict=True))
        worst = max(abs(a - b) for golden, answer in pairs for a, b in zip(golden.scores, answer, strict=True))
        reason = f"served scores of {size} items differ from golden ones by up to {worst:.4f}"
        yield _at_most(f"golden_{size}", worst, limits.atol, reason, n=len(sized), blocking=strict)
        yield _order(size, pairs, limits.atol)


def _order(size: int, answered: Sequence[tuple[Golden, tuple[float, ...]]], atol: float) -> Finding:
    """Share of item pairs in golden order, over pairs that noise of `atol` on both sides cannot turn."""
    kept = [
        (answer[a] - answer[b]) * (golden.scores[a] - golden.scores[b]) > 0
        for golden, answer in answered
        for a, b in combinations(range(size), 2)
        if abs(golden.scores[a] - golden.scores[b]) > 2 * atol
    ]
    rule = f"order_{size}"
    if not kept:
        reason = f"no two of {size} golden items differ by more than {2 * atol:g}"
        return Finding(rule=rule, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False, n=0)
    share = sum(kept) / len(kept)
    return Finding(
        rule=rule,
        verdict=Verdict.PASS if share >= MIN_ORDER_AGREEMENT else Verdict.FAIL,
        reason=f"{share:.1%} of item pairs are served in golden order at {size} items",
        value=share,
        limit=MIN_ORDER_AGREEMENT,
        n=len(kept),
    )


def _edge_texts(candidate: Version, sound: Golden) -> Finding:
    items = tuple(RankItem(str(number), text, text) for number, text in enumerate(EDGE_TEXTS))
    requests = [Golden(text, items, ()) for text in EDGE_TEXTS]
    answers = [candidate.try_score(request, sound.sized(1)) for request in requests]
    bad = sum(len(answer) != len(items) or not all(map(math.isfinite, answer)) for answer in answers)
    reason = f"{len(requests) - bad} of {len(requests)} requests with odd texts were answered with numbers"
    verdict = Verdict.FAIL if bad else Verdict.PASS
    return Finding(rule="edge_texts", verdict=verdict, reason=reason, value=float(bad), limit=0.0, n=len(requests))


def _latency(
    candidate: Version, goldens: Sequence[Golden], limits: InfraLimits, clock: Clock
) -> tuple[Finding, Finding]:
    """p50 (shown) and p95 (judged) of one client's requests of 20 items, as this process sees them.

    Every text is new to the server: the answers of a cache say nothing about a busy day.
    """
    elapsed = []
    for number, golden in enumerate(islice(cycle(goldens), LATENCY_REQUESTS)):
        request, start = golden.sized(LATENCY_ITEMS).renamed(number), clock.now()
        candidate.try_score(request, goldens[0].sized(1))
        elapsed.append(age_s(start, clock.now()) * 1000)
    elapsed.sort()
    p50, p95 = (elapsed[math.ceil(share * len(elapsed)) - 1] for share in (0.5, 0.95))
    reason = f"p95 of {LATENCY_ITEMS} items is {p95:.1f} ms"
    shown = Finding(
        rule="p50_ms", verdict=Verdict.PASS, reason=f"p50 is {p50:.1f} ms", blocking=False, value=p50, n=len(elapsed)
    )
    return shown, _at_most("p95_ms", p95, limits.max_p95_ms, reason, n=len(elapsed))


def _memory(growth_mb: float, limits: InfraLimits, *, known: bool) -> Finding:
    if known:
        reason = "the version was loaded before the check began: its memory cannot be told apart"
        return Finding(rule="memory_mb", verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
    return _at_most("memory_mb", growth_mb, limits.max_memory_mb, f"the server grew by {growth_mb:.0f} MiB", n=1)


def _shift(candidate: Version, baseline: Version, goldens: Sequence[Golden]) -> Finding:
    """Kolmogorov-Smirnov distance of the two versions' scores on the golden requests: shown, never blocking."""
    rule = "score_shift"
    try:
        theirs = [score for golden in goldens for score in baseline.score(golden)] if baseline.version else []
    except ServerUnavailable:
        theirs = []
    if not theirs:
        reason = f"{baseline.version} did not answer" if baseline.version else "nothing serves yet"
        return Finding(rule=rule, verdict=Verdict.NOT_EVALUATED, reason=reason, blocking=False)
    ours = [score for golden in goldens for score in candidate.try_score(golden, goldens[0].sized(1))]
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


def _decide(findings: list[Finding], numbers: dict[str, str | int]) -> Decision:
    failed = [finding.reason for finding in findings if finding.blocking and finding.verdict is Verdict.FAIL]
    return Decision(
        gate="infra_check",
        verdict=Verdict.FAIL if failed else Verdict.PASS,
        reasons=tuple(failed) or ("answers, speed and memory are as they should be",),
        findings=tuple(findings),
        numbers={**numbers},
    )
