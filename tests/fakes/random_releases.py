"""Releases with everything going wrong at random, by a seed, and what must hold all the same."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from fakes.fake_server import Crash
from fakes.release_world import HEALTHY, SICK, SILENT, ReleaseWorld
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Comparison
from recflow.artifacts.ledger import EventKind, LedgerState, ReleaseState
from recflow.config.sections.training import TrainingSection
from recflow.domain.refused_changes import standstill
from recflow.domain.releases import ALLOWED_IN_AA, challenger, is_aa, is_return
from recflow.errors import ReleaseRefused, TemporaryError
from recflow.rollout import operations
from recflow.rollout.attendance import run_wanted
from recflow.rollout.due import moves_forward, opening_halt_reason
from recflow.rollout.machine import Advanced

_VERDICTS = (Verdict.PASS, Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
_LONGEST = 3000
_CHANGES = 0.15  # share of nights before which the recipe is changed, or reverted
_REVERTS = 0.8  # share of nights before which a line that stands still gets its recipe back
_WATCH_S = 300.0
_WAITS_FOR_SHOPPERS = frozenset({ReleaseState.SHADOW, ReleaseState.CANARY})


@dataclass
class Tally:
    """How the releases ended, and what was done to them."""

    ends: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    outages: int = 0
    commands: int = 0
    measured: int = 0
    nights: int = 0
    clock_jumps: int = 0
    differing: int = 0
    accepted: int = 0
    pauses: int = 0
    runs_lost: int = 0
    rivals: int = 0

    def count(self, end: str) -> None:
        self.ends[end] = self.ends.get(end, 0) + 1

    def add(self, other: "Tally") -> None:
        """Count what another tally has counted too."""
        for name, number in vars(other).items():
            if name != "ends":
                setattr(self, name, getattr(self, name) + number)
        self.ends = dict(Counter(self.ends) + Counter(other.ends))


@dataclass
class Grid:
    """What the scheduler shows: whether a run carries the release, and whether the release DAG is paused."""

    carried: bool = True
    paused: bool = False


def play_releases(world: ReleaseWorld, releases: int, seed: int) -> Tally:
    """One candidate a day; each day's release is tormented until nothing moves any more."""
    dice, tally, changed = random.Random(seed), Tally(), False
    other = world.recipe.model_copy(update={"training": TrainingSection(epochs=5)})
    for day in range(1, releases + 1):
        world.verdict, world.judge_after_s = dice.choice(_VERDICTS), dice.choice((10, 60))
        world.check_verdict = dice.choice((Verdict.PASS, Verdict.PASS, Verdict.PASS, Verdict.FAIL))
        changed = changed != (dice.random() < (_REVERTS if world.state.waiting else _CHANGES))
        version = world.record(day, world.package(day, other if changed else None))
        world.metrics.set[version] = dice.choice((HEALTHY, HEALTHY, HEALTHY, SICK, SILENT))
        stable = world.state.stable
        if stable is not None:
            world.metrics.set[stable.version] = HEALTHY
        taus = dice.choice(([0.8] * 5, [0.8] * 5, [-1.0] * 5))
        _torment(world, dice, tally, taus)
        _check_rest(world, version)
        _check_accepted(world, version, tally)
        tally.count("stands still" if world.state.waiting else str(world.state.last_state))
        if world.state.stable is not None and world.state.waiting is None and dice.random() < 0.4:
            _measure(world, dice, tally)
            _check_rest(world, version)
    return tally


def _measure(world: ReleaseWorld, dice: random.Random, tally: Tally) -> None:
    """An A/A of what serves, tormented like any release."""
    operations.start_aa(world.recipe, world.true_ledger, world.clock.now(), person="ada", hours=0.1)
    _torment(world, dice, tally)
    tally.measured += world.state.last_state is ReleaseState.MEASURED


def _torment(world: ReleaseWorld, dice: random.Random, tally: Tally, taus: Sequence[float] = ()) -> None:
    grid = Grid()
    for _ in range(_LONGEST):
        if dice.random() < 0.6:
            world.poll()
        _people_at_the_grid(grid, dice, tally)
        if dice.random() < 0.015:
            _command(world, dice, tally)
        _turn_of_the_day(world, dice, tally)
        if dice.random() < 0.2:
            world.wire.arm(dice.randrange(8), dice.choice(("before", "after")))
        world.true_server.down = dice.random() < 0.05
        tally.outages += world.true_server.down
        if world.true_server.down and dice.random() < 0.5:
            world.true_server.packages.clear()
        _mirror(world, taus)
        if _is_held_for_differences(world) and dice.random() < 0.1:
            operations.resume(world.recipe.name, world.true_ledger, person="ada", reason="as it should be")
        if dice.random() < 0.05:
            world.wire.rival = lambda: _rival(world, grid, tally)
        before = world.state
        if not _carry(world, grid, tally) and world.state.release is None and not _goes_on(world):
            break
        _check_always(world)
        _check_night(world, before)
        _check_pause(world, grid, before)
    world.wire.at, world.wire.rival, world.true_server.down = None, None, False
    if world.metrics.asleep:
        _wake(world)
    world.poll()
    world.play()


def _people_at_the_grid(grid: Grid, dice: random.Random, tally: Tally) -> None:
    """Now and then somebody pauses the release DAG or ends a pause; or marks a run, clears or deletes it."""
    if dice.random() < (0.1 if grid.paused else 0.01):
        grid.paused = not grid.paused
        tally.pauses += grid.paused
    if grid.carried and dice.random() < 0.02:
        grid.carried = False
        tally.runs_lost += 1


def _carry(world: ReleaseWorld, grid: Grid, tally: Tally) -> bool:
    """Whether something may still change: done by the run, or by the watch where no run can, which then starts one."""
    if grid.carried and not grid.paused:
        return _advance(world, tally)
    world.clock.tick(_WATCH_S)
    moved = _advance(world, tally, paused=grid.paused)
    head, plan, now = world.true_ledger.head(world.recipe.name), world.recipe.rollout, world.clock.now()
    wanted = run_wanted(head, plan, now)
    grid.carried = grid.carried or bool(wanted)
    rests = head is None or timedelta() <= now - head.at < timedelta(minutes=1) or not _needs_a_run(world)
    assert grid.carried or rests, "a release is out of sight"
    return moved or grid.paused


def _needs_a_run(world: ReleaseWorld) -> bool:
    """Whether a release is open that a run carries, or a candidate waits that may be released now."""
    state = world.state
    if state.release is not None and not is_aa(state.release.release_id):
        return state.release.state is not ReleaseState.HELD
    return state.waiting is not None and not opening_halt_reason(state, world.recipe.rollout, world.clock.now())


def _rival(world: ReleaseWorld, grid: Grid, tally: Tally) -> None:
    """Another host's watch does a whole step between this one's look at the ledger and its entry."""
    tally.rivals += 1
    with contextlib.suppress(TemporaryError):
        world.advance(paused=grid.paused)


def _mirror(world: ReleaseWorld, taus: Sequence[float]) -> None:
    """Whenever a release comes into shadow its answers are compared with stable's, once."""
    release = world.state.release
    if release is None or release.state is not ReleaseState.SHADOW or release.first or not taus:
        return
    newest = next((record for record in reversed(world.events.records) if isinstance(record, Comparison)), None)
    seen = newest is not None and (newest.experiment, newest.at) == (world.table.experiment, release.entered_at)
    if not seen:
        world.compare(taus, at=release.entered_at)


def _is_held_for_differences(world: ReleaseWorld) -> bool:
    release = world.state.release
    return release is not None and release.state is ReleaseState.HELD and release.differences is not None


def _goes_on(world: ReleaseWorld) -> bool:
    """Whether a candidate waits whose line does not stand still."""
    state, tries = world.state, world.recipe.rollout.change_tries
    return state.waiting is not None and not standstill(state.refused, tries, state.waiting.made_with)


def _turn_of_the_day(world: ReleaseWorld, dice: random.Random, tally: Tally) -> None:
    """Now and then nobody comes for a while, and now and then the host's clock is put back."""
    if world.metrics.asleep:
        world.clock.tick(dice.choice((1, 60)))
    if world.metrics.asleep and dice.random() < 0.1:
        _wake(world)
    elif not world.metrics.asleep and dice.random() < 0.02:
        world.metrics.asleep = True
        world.metrics.nights.append((world.clock.now(), world.clock.now()))
        tally.nights += 1
    if dice.random() < 0.002:
        world.clock.tick(-3600)
        tally.clock_jumps += 1


def _wake(world: ReleaseWorld) -> None:
    began, _ = world.metrics.nights[-1]
    world.metrics.asleep, world.metrics.nights[-1] = False, (began, world.clock.now())


def _advance(world: ReleaseWorld, tally: Tally, *, paused: bool = False) -> bool:
    """Whether something may still change; the process is killed and the server is down now and then."""
    try:
        done: Advanced = world.advance(paused=paused)
    except Crash:
        tally.kills += 1
        return True
    except TemporaryError:
        world.clock.tick(5)
        return True
    if not done.changed:
        world.clock.tick(max(done.wait_s or 1, 1))
    return done.changed


def _command(world: ReleaseWorld, dice: random.Random, tally: Tally) -> None:
    name, ledger = world.recipe.name, world.true_ledger
    commands: list[Callable[[], object]] = [
        lambda: operations.hold(name, ledger, person="ada", reason="a look"),
        lambda: operations.resume(name, ledger, person="ada", reason="seen"),
        lambda: operations.abort(name, ledger, person="ada", reason="enough"),
        lambda: operations.rollback(world.recipe, world, person="ada", reason="a complaint"),
        lambda: operations.freeze(name, ledger, person="ada", reason="sale"),
        lambda: operations.unfreeze(name, ledger, person="ada"),
        lambda: operations.accept(name, ledger, person="ada", reason="half the cost"),
        lambda: operations.give_up(name, ledger, person="ada", reason="no use"),
        lambda: operations.start_aa(world.recipe, ledger, world.clock.now(), person="ada", hours=0.1),
    ]
    try:
        dice.choice(commands)()
        tally.commands += 1
    except (ReleaseRefused, TemporaryError):
        pass
    except Crash:
        tally.kills += 1
    if world.state.frozen and dice.random() < 0.8:
        operations.unfreeze(name, ledger, person="ada")


def _check_always(world: ReleaseWorld) -> None:
    state = world.state
    assert state.epoch <= state.seq
    release = state.release
    if release is not None and release.state in {ReleaseState.ROLLING_BACK, ReleaseState.PACKAGED}:
        assert world.table.arms == ()
    if state.stable is not None and challenger(state) is None:
        assert world.table.versions == (state.stable.version,)


def _check_night(world: ReleaseWorld, before: LedgerState) -> None:
    """No release is stopped, sent back or sent on by the machine in shadow or canary while nobody comes."""
    release = before.release
    if not world.metrics.asleep or release is None or release.first or release.state not in _WAITS_FOR_SHOPPERS:
        return
    now = world.state.release
    assert now is not None
    assert (now.release_id, now.state, now.step) == (release.release_id, release.state, release.step)


def _check_pause(world: ReleaseWorld, grid: Grid, before: LedgerState) -> None:
    """Of a paused line no release was opened or moved forward, by whichever host."""
    if not grid.paused:
        return
    newer = [entry for entry in world.true_ledger.entries(world.recipe.name) if entry.seq > before.seq]
    assert not [entry.event for entry in newer if moves_forward(entry.event)]


def _check_rest(world: ReleaseWorld, version: str) -> None:
    """When all is quiet: the ledger is whole, every release ended once, nothing is lost or left over."""
    state = world.state
    if state.frozen:
        operations.unfreeze(world.recipe.name, world.true_ledger, person="ada")
        world.play()
        state = world.state
    assert (state.release, _goes_on(world), state.untold, state.retiring) == (None, False, 0, ())
    events = [entry.event for entry in world.true_ledger.entries(world.recipe.name)]
    opened = [event.release_id for event in events if event.kind is EventKind.OPENED]
    ended = [event.release_id for event in events if event.kind is EventKind.MOVED and event.to and event.to.terminal]
    assert sorted(opened) == sorted(ended)
    assert len(set(opened)) == len(opened)
    _check_measured(world)
    _check_tries(world)
    serving = {served.version for served in (state.stable, state.previous) if served}
    assert set(world.loaded) == serving
    if state.stable is not None:
        assert world.true_registry.aliases(world.recipe.name) == {"champion": state.stable.version}
    if state.stable is not None and state.stable.version == version and len(serving) > 1:
        _check_earned(world, version)


def _check_accepted(world: ReleaseWorld, version: str, tally: Tally) -> None:
    """What orders otherwise than stable has met no shopper, unless a person said that it may."""
    events = [entry.event for entry in world.true_ledger.entries(world.recipe.name)]
    differs = {
        record.experiment.partition(":")[0]
        for record in world.events.records
        if isinstance(record, Comparison) and record.shadow_version == version and record.tau == -1
    }
    accepted = {event.release_id for event in events if "accepts the differences" in event.reason}
    met = {event.release_id for event in events if event.to in {ReleaseState.CANARY, ReleaseState.JUDGING}}
    meant = {event.release_id for event in events if event.changes}
    assert (differs - meant) & met <= accepted
    tally.differing += len(differs)
    tally.accepted += len(differs & accepted)


def _check_measured(world: ReleaseWorld) -> None:
    """No step of an A/A has changed what serves, what may be returned to, or what retires."""
    newest_first = list(world.true_ledger.entries(world.recipe.name))
    for after, before in pairwise(newest_first):
        if is_aa(after.event.release_id):
            kept = [(state.stable, state.previous, state.retiring) for state in (after.state, before.state)]
            assert kept[0] == kept[1]
            assert after.event.to in {ReleaseState.JUDGING, *ALLOWED_IN_AA[ReleaseState.JUDGING]}


def _check_tries(world: ReleaseWorld) -> None:
    """No change was opened after its nights were over, but for a person's word; counted from the entries alone."""
    changes, refused = set[str](), set[str]()
    for entry in [*world.true_ledger.entries(world.recipe.name)][::-1]:
        event = entry.event
        if event.kind is EventKind.OPENED and event.changes:
            assert len(refused) < world.recipe.rollout.change_tries
            changes.add(event.release_id)
        if event.to in {ReleaseState.ROLLED_BACK, ReleaseState.REJECTED} and event.release_id in changes:
            refused.add(event.release_id)
        promoted = event.to is ReleaseState.STABLE and not is_return(event.release_id)
        if promoted or event.kind is EventKind.CHANGE_ACCEPTED:
            refused.clear()


def _check_earned(world: ReleaseWorld, version: str) -> None:
    """A version that replaced another has passed the infra check and the online gate."""
    assert world.check_verdict is Verdict.PASS
    assert world.verdict is Verdict.PASS
    assert world.metrics.set[version] is HEALTHY
