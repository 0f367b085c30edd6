"""One function a state: collects the evidence that is due and proposes the next event, or says why it waits."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import EventKind, LedgerEntry, LedgerEvent, LedgerState, OpenRelease, ReleaseState
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.golden import GoldenRequest, agrees, is_strict, read_golden
from recflow.domain.releases import is_aa, is_return
from recflow.domain.routes import routes
from recflow.errors import ArtifactCorrupt, ModelWontLoad
from recflow.protocols import TrafficReading, golden_items
from recflow.rollout.decide import judge_health, traffic_off_plan
from recflow.rollout.due import after_canary, after_shadow, canary_step, elapsed_s
from recflow.rollout.services import InfraCheck, OnlineJudge, ReleaseServices

S = ReleaseState
V = Verdict
_TIMEOUT_S = 5.0
_ROUTED_WITHIN = timedelta(minutes=1)
Proposal = LedgerEvent | str


@dataclass(frozen=True)
class Turn:
    """One call of `advance`: the recipe, the clients, the judges, the head that was read, and the time."""

    recipe: Recipe
    services: ReleaseServices
    judge: OnlineJudge
    check: InfraCheck
    head: LedgerEntry | None
    now: datetime

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def state(self) -> LedgerState:
        """The folded state that this turn decides on."""
        return self.head.state if self.head else LedgerState()

    @property
    def release(self) -> OpenRelease:
        """The open release."""
        assert self.state.release is not None
        return self.state.release


def propose(turn: Turn) -> Proposal:
    """The event that is due for the open release, or why nothing is."""
    return _STEPS[turn.release.state](turn)


def move(
    release: OpenRelease, to: ReleaseState, reason: str = "", *, step: int = 0, decision: Decision | None = None
) -> LedgerEvent:
    """The event that moves the release."""
    return LedgerEvent(
        kind=EventKind.MOVED,
        release_id=release.release_id,
        to=to,
        step=step,
        reason=reason or (decision.reasons[0] if decision and decision.reasons else ""),
        decision=decision,
    )


def load(turn: Turn, version: str, package: Ref) -> None:
    """Fetch, verify and load a version; loading what is loaded is fine."""
    turn.services.server.load(turn.name, version, fetch(turn, package))


def fetch(turn: Turn, package: Ref) -> Path:
    """A package's verified folder; ArtifactCorrupt is the store's, since a spoilt local copy is fetched anew once."""
    package.expect(RefKind.PACKAGE)
    try:
        return turn.services.artifacts.fetch(package)
    except ArtifactCorrupt:
        return turn.services.artifacts.fetch(package)


def refuse_to_load(error: ArtifactCorrupt | ModelWontLoad) -> Decision:
    """The decision that a package which cannot be loaded stands for."""
    return Decision(gate="infra_check", verdict=V.FAIL, reasons=(error.what,), numbers={"seen": error.seen[:600]})


def _packaged(turn: Turn) -> Proposal:
    decision = _check(turn)
    if decision.passed:
        return move(turn.release, S.CHECKED, decision=decision)
    overdue = elapsed_s(turn.release, turn.now) >= turn.release.plan.hold_grace_seconds
    if decision.verdict is V.FAIL or overdue:
        return move(turn.release, S.REJECTED, decision=decision)
    return f"infra check is tried again: {'; '.join(decision.reasons)}"


def _check(turn: Turn) -> Decision:
    services, candidate, stable = turn.services, turn.release.candidate, turn.state.stable
    try:
        folder = fetch(turn, candidate.package)
        return turn.check(
            services.server,
            turn.name,
            candidate.version,
            folder,
            baseline=stable.version if stable else "",
            limits=turn.release.plan.infra,
            clock=services.clock,
        )
    except (ArtifactCorrupt, ModelWontLoad) as error:
        return refuse_to_load(error)


def _checked(turn: Turn) -> Proposal:
    release = turn.release
    if release.plan.approval or (release.first and release.plan.approve_first):
        return move(release, S.AWAITING_APPROVAL, "first_release" if release.first else "the plan asks for approval")
    return move(release, S.SHADOW, release.reason)


def _awaiting(turn: Turn) -> Proposal:
    return f"a person must approve: `recflow release approve {turn.name}`"


def _shadow(turn: Turn) -> Proposal:
    release, plan = turn.release, turn.release.plan
    elapsed = elapsed_s(release, turn.now)
    decision = _golden_traffic(turn) if release.first else _mirrored_traffic(turn)
    if decision.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=decision)
    if decision.passed and elapsed >= plan.shadow.min_seconds:
        to, step = after_shadow(release)
        return move(release, to, "first_release" if release.first else "", step=step, decision=decision)
    if elapsed >= plan.shadow.min_seconds + plan.health.no_data_grace_seconds:
        return move(release, S.HELD, decision=decision)
    return f"shadow for {elapsed:.0f} of at least {plan.shadow.min_seconds:.0f} s: {'; '.join(decision.reasons)}"


def _golden_traffic(turn: Turn) -> Decision:
    """The first release has no shoppers to mirror: its own golden requests, on the server that will serve them."""
    candidate, atol = turn.release.candidate, turn.release.plan.infra.atol
    folder = fetch(turn, candidate.package)
    requests, strict = read_golden(folder), is_strict(folder)
    wrong = [request for request in requests if not agrees(request.scores, _score(turn, request), atol, strict=strict)]
    reason = f"{len(wrong)} of {len(requests)} golden answers differ by more than {atol}"
    return Decision(gate="shadow", verdict=V.FAIL if wrong else V.PASS, reasons=(reason,))


def _score(turn: Turn, request: GoldenRequest) -> tuple[float, ...]:
    version, items = turn.release.candidate.version, golden_items(request)
    return turn.services.server.score(turn.name, version, request.query, items, timeout_s=_TIMEOUT_S)


def _mirrored_traffic(turn: Turn) -> Decision:
    release = turn.release
    reading = _reading(turn, release.candidate.version, release.entered_at)
    if release.plan.shadow.min_requests == 0 == reading.requests:
        return Decision(gate="shadow", verdict=V.PASS, reasons=("the plan asks for no mirrored requests",))
    return judge_health(release.plan.health, reading, None, max(1, release.plan.shadow.min_requests))


def _canary(turn: Turn) -> Proposal:
    release, step = turn.release, canary_step(turn.release)
    elapsed = elapsed_s(release, turn.now)
    recent = _health(turn, _recent_start(turn), step.min_requests)
    if recent.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=recent)
    whole = _health(turn, release.entered_at, step.min_requests)
    if whole.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=whole)
    if off := _traffic_off_plan(turn):
        return move(release, S.HELD, off)
    if whole.passed and elapsed >= step.bake_seconds:
        to, following = after_canary(release)
        return move(release, to, step=following, decision=whole)
    return _canary_without_proof(turn, whole)


def _canary_without_proof(turn: Turn, whole: Decision) -> Proposal:
    release, step = turn.release, canary_step(turn.release)
    elapsed, grace = elapsed_s(release, turn.now), release.plan.health.no_data_grace_seconds
    silent = _reading(turn, release.candidate.version, release.entered_at).requests == 0
    if elapsed >= (grace if silent else step.bake_seconds + grace) and not whole.passed:
        thin = bool(whole.numbers.get("thin"))
        return move(release, S.HELD if thin else S.ROLLING_BACK, decision=whole)
    return f"canary at {step.percent:g} % for {elapsed:.0f} of {step.bake_seconds:.0f} s: {'; '.join(whole.reasons)}"


def _judging(turn: Turn) -> Proposal:
    release = turn.release
    if is_aa(release.release_id):
        return _measuring(turn)
    decision = _judging_health(turn)
    if off := "" if decision.verdict is V.FAIL else _traffic_off_plan(turn, with_users=False):
        return move(release, S.HELD, off)
    if decision.passed or (decision.numbers.get("thin") and not decision.numbers.get("hold")):
        decision = turn.judge(turn.recipe, release, turn.now)
    if event := _verdict(release, decision):
        return event
    judging = release.plan.judging
    if elapsed_s(release, turn.now) < judging.max_judging_hours * 3600:
        return f"judging: {'; '.join(decision.reasons)}"
    reason = f"no verdict after {judging.max_judging_hours:g} hours ({judging.on_inconclusive}): {_first(decision)}"
    return move(release, _ON_INCONCLUSIVE[judging.on_inconclusive], reason, decision=decision)


def _measuring(turn: Turn) -> Proposal:
    """An A/A ends with what its judge has found, and changes nothing; the health of stable is the watch's affair."""
    release = turn.release
    decision = turn.judge(turn.recipe, release, turn.now)
    over = elapsed_s(release, turn.now) >= release.plan.judging.max_judging_hours * 3600
    if decision.verdict is V.INCONCLUSIVE and not over:
        return f"A/A: {_first(decision)}"
    return move(release, S.MEASURED, decision=decision)


def _verdict(release: OpenRelease, decision: Decision) -> LedgerEvent | None:
    """The move that a decision asks for; None when it is not decided yet.

    An experiment that can no longer pass ends at once, and is never promoted: its guardrail was judged, and not passed.
    """
    if hold := decision.numbers.get("hold"):
        return move(release, S.HELD, str(hold), decision=decision)
    if decision.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=decision)
    if settled := decision.numbers.get("settled"):
        held = release.plan.judging.on_inconclusive == "hold"
        return move(release, S.HELD if held else S.ROLLING_BACK, f"undecided for good: {settled}", decision=decision)
    return move(release, S.PROMOTING, decision=decision) if decision.passed else None


_ON_INCONCLUSIVE = {"keep_stable": S.ROLLING_BACK, "promote": S.PROMOTING, "hold": S.HELD}


def _first(decision: Decision) -> str:
    return decision.reasons[0] if decision.reasons else str(decision.verdict)


def _judging_health(turn: Turn) -> Decision:
    """Health while shoppers are split in halves; silence counts only where the control is not silent too."""
    release, plan = turn.release, turn.release.plan
    least = plan.canary[-1].min_requests if plan.canary else plan.shadow.min_requests
    decision = _health(turn, _recent_start(turn), max(1, least))
    if elapsed_s(release, turn.now) < plan.health.no_data_grace_seconds or not decision.numbers.get("thin"):
        return decision
    treatment, control = (_reading(turn, version, _recent_start(turn)) for version in _arms(turn))
    if treatment.requests == 0 and control.requests >= max(1, least):
        reason = f"the candidate got no request while the control got {control.requests}"
        return Decision(gate="health", verdict=V.INCONCLUSIVE, reasons=(reason,), numbers={"hold": reason})
    return decision


def _promoting(turn: Turn) -> Proposal:
    return _confirm(turn, S.STABLE) or _lagging(turn)


def _lagging(turn: Turn) -> Proposal:
    lagging = ", ".join(turn.services.router.acknowledged(turn.name, turn.state.epoch).lagging)
    reason = f"gateways have not taken epoch {turn.state.epoch}: {lagging}"
    grace = turn.release.plan.health.no_data_grace_seconds
    return move(turn.release, S.HELD, reason) if elapsed_s(turn.release, turn.now) >= grace else reason


def _rolling_back(turn: Turn) -> Proposal:
    return _confirm(turn, S.ROLLED_BACK) or f"gateways have not all taken epoch {turn.state.epoch}"


def _confirm(turn: Turn, to: ReleaseState) -> LedgerEvent | None:
    seen = turn.services.router.acknowledged(turn.name, turn.state.epoch)
    return move(turn.release, to, turn.release.reason) if seen.complete else None


def _held(turn: Turn) -> Proposal:
    """A return waits for a person: time alone sends nobody back to the version that was left."""
    grace = turn.release.plan.hold_grace_seconds
    if elapsed_s(turn.release, turn.now) >= grace and not is_return(turn.release.release_id):
        return move(turn.release, S.ROLLING_BACK, f"held for {grace:.0f} s and nobody came: {turn.release.reason}")
    return f"held: {turn.release.reason}"


_STEPS: dict[ReleaseState, Callable[[Turn], Proposal]] = {
    S.PACKAGED: _packaged,
    S.CHECKED: _checked,
    S.AWAITING_APPROVAL: _awaiting,
    S.SHADOW: _shadow,
    S.CANARY: _canary,
    S.JUDGING: _judging,
    S.PROMOTING: _promoting,
    S.ROLLING_BACK: _rolling_back,
    S.HELD: _held,
}


def _arms(turn: Turn) -> tuple[str, str]:
    stable = turn.state.stable
    return turn.release.candidate.version, stable.version if stable else ""


def _health(turn: Turn, start: datetime, min_requests: int) -> Decision:
    treatment, control = (_reading(turn, version, start) for version in _arms(turn))
    return judge_health(turn.release.plan.health, treatment, control, min_requests)


def _traffic_off_plan(turn: Turn, *, with_users: bool = True) -> str:
    """Why the arms' traffic is not as planned; the time in which gateways took the routes does not count.

    The users of two halves are judged by the online gate's sample ratio.
    """
    table = routes(turn.name, turn.state)
    start = min(turn.release.entered_at + _ROUTED_WITHIN, turn.now)
    metrics = turn.services.metrics
    seen = metrics.shares(turn.name, experiment=table.experiment, start=start, end=turn.now)
    return traffic_off_plan(table.shares, seen, with_users=with_users)


def _recent_start(turn: Turn) -> datetime:
    recent = turn.now - timedelta(seconds=turn.release.plan.health.no_data_grace_seconds)
    return max(recent, turn.release.entered_at)


def _reading(turn: Turn, version: str, start: datetime) -> TrafficReading:
    experiment = routes(turn.name, turn.state).experiment
    return turn.services.metrics.traffic(turn.name, version=version, experiment=experiment, start=start, end=turn.now)
