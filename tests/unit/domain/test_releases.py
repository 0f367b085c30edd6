from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.events import Arm
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent, LedgerState, OpenRelease, ReleaseState, Served
from recflow.artifacts.plans import CanaryStep, Plan
from recflow.artifacts.refs import Ref, RefKind
from recflow.domain.assignment import BUCKETS
from recflow.domain.releases import fold, is_aa
from recflow.domain.routes import RoutingTable, routes
from recflow.errors import ReleaseRefused

S = ReleaseState
NOW = datetime(2011, 1, 5, tzinfo=UTC)
PLAN = Plan(canary=(CanaryStep(percent=5), CanaryStep(percent=50)))

# Who may follow whom, written out once more from the design and not from the code.
ARROWS = {
    S.PACKAGED: {S.CHECKED, S.REJECTED, S.SUPERSEDED, S.ABORTED},
    S.CHECKED: {S.AWAITING_APPROVAL, S.SHADOW, S.SUPERSEDED, S.ABORTED},
    S.AWAITING_APPROVAL: {S.SHADOW, S.REJECTED, S.SUPERSEDED, S.ABORTED},
    S.SHADOW: {S.CANARY, S.JUDGING, S.PROMOTING, S.HELD, S.ROLLING_BACK},
    S.CANARY: {S.CANARY, S.JUDGING, S.PROMOTING, S.HELD, S.ROLLING_BACK},
    S.JUDGING: {S.PROMOTING, S.HELD, S.ROLLING_BACK},
    S.PROMOTING: {S.STABLE, S.HELD, S.ROLLING_BACK},
    S.ROLLING_BACK: {S.ROLLED_BACK},
}
PAIRS = [(before, after) for before in ARROWS for after in S]
HELD_FROM = (S.SHADOW, S.CANARY, S.JUDGING, S.PROMOTING)


def candidate(version: str, day: int = 4) -> Candidate:
    package = Ref(kind=RefKind.PACKAGE, uri=f"memory://store/{version}", digest=digest_bytes(version.encode()))
    return Candidate(
        version=version, package=package, interval_label=f"2011-01-{day:02d}", trained_through=NOW + timedelta(days=day)
    )


def served(version: str) -> Served:
    return Served(version=version, package=candidate(version).package, since=NOW, release_id="release-of-" + version)


def state_in(where: S, *, held_from: S | None = None, step: int = 0, stable: str = "old") -> LedgerState:
    release = OpenRelease(
        release_id="r1",
        candidate=candidate("new"),
        plan=PLAN,
        state=where,
        step=step,
        opened_at=NOW,
        entered_at=NOW,
        held_from=held_from,
    )
    return LedgerState(seq=9, epoch=7, stable=served(stable) if stable else None, release=release)


def move(state: LedgerState, to: S, step: int = 0) -> LedgerState:
    event = LedgerEvent(kind=EventKind.MOVED, release_id="r1", to=to, step=step)
    return fold(state, event, seq=state.seq + 1, at=NOW)


class TestArrows:
    @pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair[1] in ARROWS[pair[0]]])
    def test_an_arrow_is_followed(self, before, after):
        state = move(state_in(before), after)
        assert (state.last_state if after.terminal else state.release.state) is after

    @pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair[1] not in ARROWS[pair[0]]])
    def test_where_there_is_no_arrow_the_step_is_refused(self, before, after):
        with pytest.raises(ReleaseRefused, match="cannot go to"):
            move(state_in(before), after)

    @pytest.mark.parametrize("origin", HELD_FROM)
    @pytest.mark.parametrize("after", S)
    def test_a_held_release_goes_back_to_where_it_was_or_rolls_back(self, origin, after):
        held = state_in(S.HELD, held_from=origin)
        if after in {origin, S.ROLLING_BACK}:
            assert move(held, after).release.state is after
        else:
            with pytest.raises(ReleaseRefused):
                move(held, after)

    def test_a_held_canary_goes_on_at_its_own_step(self):
        held = move(state_in(S.CANARY, step=1), S.HELD)
        assert move(held, S.CANARY).release.step == 1

    @pytest.mark.parametrize("step", [-1, 2, 99])
    def test_a_canary_step_that_the_plan_does_not_have_is_refused(self, step):
        with pytest.raises(ReleaseRefused, match="canary step"):
            move(state_in(S.SHADOW), S.CANARY, step)

    @pytest.mark.parametrize("to", [S.CANARY, S.JUDGING])
    def test_a_first_release_is_not_compared_with_nothing(self, to):
        with pytest.raises(ReleaseRefused, match="stable to compare with"):
            move(state_in(S.SHADOW, stable=""), to)

    def test_only_the_open_release_moves(self):
        for state in (LedgerState(), state_in(S.SHADOW)):
            with pytest.raises(ReleaseRefused):
                fold(state, LedgerEvent(kind=EventKind.MOVED, release_id="other", to=S.HELD), seq=10, at=NOW)

    def test_one_release_is_open_at_a_time(self):
        event = LedgerEvent(
            kind=EventKind.OPENED, release_id="r2", to=S.PACKAGED, candidate=candidate("newer"), plan=PLAN
        )
        with pytest.raises(ReleaseRefused, match="r1 is open"):
            fold(state_in(S.PACKAGED), event, seq=10, at=NOW)


class TestAA:
    def test_it_judges_stable_against_itself_and_has_three_ends(self):
        ends = {}
        for after in S:
            state = aa_state()
            try:
                ends[after] = fold(state, moved("aa-10-old", after), seq=11, at=NOW)
            except ReleaseRefused:
                continue
        assert set(ends) == {S.MEASURED, S.SUPERSEDED, S.ABORTED}
        for over in ends.values():
            assert (over.stable, over.previous, over.retiring) == (served("old"), served("older"), ())

    def test_its_arms_are_two_halves_of_stable(self):
        table = routes("shop", aa_state())
        assert [(arm.version, arm.start, arm.end) for arm in table.arms] == [("old", 0, 5_000), ("old", 5_000, 10_000)]
        assert (table.versions, table.shares) == (("old",), {Arm.TREATMENT: 0.5, Arm.CONTROL: 0.5})

    @pytest.mark.parametrize(
        ("version", "to", "waiting"),
        [("older", S.JUDGING, ""), ("old", S.PACKAGED, ""), ("old", S.PROMOTING, ""), ("old", S.JUDGING, "new")],
    )
    def test_of_anything_else_than_stable_in_judging_it_is_refused(self, version, to, waiting):
        with pytest.raises(ReleaseRefused, match="was opened"):
            aa_state(version, to, waiting)

    def test_before_anything_serves_it_is_refused(self):
        with pytest.raises(ReleaseRefused, match="no stable in both arms"):
            fold(LedgerState(), opened_aa("old"), seq=1, at=NOW)


def opened_aa(version: str, to: S = S.JUDGING) -> LedgerEvent:
    return LedgerEvent(
        kind=EventKind.OPENED, release_id=f"aa-10-{version}", to=to, candidate=candidate(version), plan=PLAN
    )


def moved(release_id: str, to: S) -> LedgerEvent:
    return LedgerEvent(kind=EventKind.MOVED, release_id=release_id, to=to)


def aa_state(version: str = "old", to: S = S.JUDGING, waiting: str = "") -> LedgerState:
    waits = candidate(waiting) if waiting else None
    before = LedgerState(seq=9, epoch=7, stable=served("old"), previous=served("older"), waiting=waits)
    return fold(before, opened_aa(version, to), seq=10, at=NOW)


class TestRoutes:
    @pytest.mark.parametrize(
        ("state", "stable", "shadow", "arms"),
        [
            (LedgerState(), "", "", []),
            (state_in(S.PACKAGED), "old", "", []),
            (state_in(S.CHECKED), "old", "", []),
            (state_in(S.AWAITING_APPROVAL), "old", "", []),
            (state_in(S.SHADOW), "old", "new", []),
            (state_in(S.CANARY), "old", "", [("new", 0, 500), ("old", 9_500, 10_000)]),
            (state_in(S.CANARY, step=1), "old", "", [("new", 0, 5_000), ("old", 5_000, 10_000)]),
            (state_in(S.JUDGING), "old", "", [("new", 0, 5_000), ("old", 5_000, 10_000)]),
            (state_in(S.PROMOTING), "new", "", []),
            (state_in(S.ROLLING_BACK), "old", "", []),
            (state_in(S.HELD, held_from=S.CANARY), "old", "", [("new", 0, 500), ("old", 9_500, 10_000)]),
            (state_in(S.HELD, held_from=S.SHADOW), "old", "new", []),
            (state_in(S.HELD, held_from=S.PROMOTING), "new", "", []),
        ],
    )
    def test_each_state_has_its_routes(self, state, stable, shadow, arms):
        table = routes("shop", state)
        assert (table.stable, table.shadow) == (stable, shadow)
        assert [(arm.version, arm.start, arm.end) for arm in table.arms] == arms

    def test_rolling_back_is_weight_zero_at_once(self):
        table = routes("shop", move(state_in(S.JUDGING), S.ROLLING_BACK))
        assert table.versions == ("old",)
        assert table.epoch == 10

    def test_a_hold_changes_no_route_and_no_epoch(self):
        before = state_in(S.CANARY)
        after = move(before, S.HELD)
        assert routes("shop", after) == routes("shop", before)

    def test_a_shopper_meets_the_candidate_from_the_first_split_on(self):
        shadow = state_in(S.SHADOW)
        assert not move(shadow, S.HELD).release.met
        assert not move(shadow, S.ROLLING_BACK).release.met
        for met in (S.CANARY, S.JUDGING, S.PROMOTING):
            assert move(move(shadow, met), S.ROLLING_BACK).release.met

    def test_a_return_is_met_at_once(self):
        event = LedgerEvent(
            kind=EventKind.OPENED, release_id="return-10-old", to=S.PROMOTING, candidate=candidate("old"), plan=PLAN
        )
        assert fold(LedgerState(), event, seq=10, at=NOW).release.met


VERSIONS = [f"v{number}" for number in range(4)]
ACTIONS = [
    *((EventKind.MOVED, state, step) for state in S for step in ((0, 1, 2) if state is S.CANARY else (0,))),
    *((EventKind.OPENED, version, to) for version in VERSIONS for to in (S.PACKAGED, S.PROMOTING)),
    *((EventKind.OPENED, f"aa {version}", S.JUDGING) for version in VERSIONS),
    *((EventKind.ADOPTED, version, None) for version in VERSIONS),
    *((EventKind.CANDIDATE_RECORDED, version, day) for version in VERSIONS for day in (1, 5, 20)),
    (EventKind.UNLOADED, None, None),
    (EventKind.FROZEN, None, None),
]
choices = st.lists(st.integers(0, 10_000), min_size=30, max_size=40)


def event_of(state: LedgerState, action: tuple) -> LedgerEvent:
    kind, first, second = action
    if kind is EventKind.MOVED:
        release_id = state.release.release_id if state.release else "none"
        return LedgerEvent(kind=kind, release_id=release_id, to=first, step=second)
    if kind is EventKind.OPENED:
        kept, _, version = first.rpartition(" ")
        named = f"{kept}-{state.seq}" if kept else f"r{state.seq}"
        return LedgerEvent(kind=kind, release_id=named, to=second, candidate=candidate(version), plan=PLAN)
    if kind is EventKind.UNLOADED:
        return LedgerEvent(kind=kind, version=state.retiring[0] if state.retiring else "none")
    if kind is EventKind.FROZEN:
        return LedgerEvent(kind=kind, reason="holiday")
    return LedgerEvent(kind=kind, candidate=candidate(first, second or 1))


def history(numbers: list[int]) -> list[LedgerState]:
    """A ledger's states when each number picks one of the events that are allowed just then."""
    states = [LedgerState()]
    for number in numbers:
        allowed = list(followers(states[-1]))
        states.append(allowed[number % len(allowed)])
    return states


def followers(state: LedgerState) -> Iterator[LedgerState]:
    for action in ACTIONS:
        try:
            yield fold(state, event_of(state, action), seq=state.seq + 1, at=NOW)
        except ReleaseRefused:
            continue


def without_epoch(table: RoutingTable) -> RoutingTable:
    return table.model_copy(update={"epoch": 0})


class TestAnyHistory:
    @given(choices)
    @settings(max_examples=60, deadline=None)
    def test_no_bucket_has_two_versions_and_both_arms_are_of_one_size(self, numbers):
        for state in history(numbers):
            arms = routes("shop", state).arms
            assert all(0 <= arm.start < arm.end <= BUCKETS and arm.version for arm in arms)
            assert all(left.end <= right.start for left, right in pairwise(arms))
            assert len({arm.end - arm.start for arm in arms}) <= 1

    @given(choices)
    @settings(max_examples=60, deadline=None)
    def test_the_epoch_never_goes_back_and_rises_with_every_change_of_routes(self, numbers):
        states = history(numbers)
        for before, after in pairwise(states):
            assert before.epoch <= after.epoch <= after.seq == before.seq + 1
            if without_epoch(routes("shop", before)) != without_epoch(routes("shop", after)):
                assert after.epoch == after.seq

    @given(choices)
    @settings(max_examples=60, deadline=None)
    def test_once_there_is_a_stable_somebody_always_serves(self, numbers):
        states = history(numbers)
        for before, after in pairwise(states):
            if before.stable:
                assert after.stable
            if after.stable:
                assert routes("shop", after).stable

    @given(choices)
    @settings(max_examples=60, deadline=None)
    def test_an_aa_changes_nothing_that_serves(self, numbers):
        for before, after in pairwise(history(numbers)):
            if any(state.release and is_aa(state.release.release_id) for state in (before, after)):
                assert (after.stable, after.previous) == (before.stable, before.previous)
                assert set(after.retiring) <= set(before.retiring)

    @given(choices)
    @settings(max_examples=60, deadline=None)
    def test_nothing_that_is_routed_or_may_be_returned_to_is_unloaded(self, numbers):
        for state in history(numbers):
            kept = {*routes("shop", state).versions, *(one.version for one in (state.stable, state.previous) if one)}
            assert kept.isdisjoint(state.retiring)


def test_a_rejected_version_that_is_then_adopted_is_not_unloaded():
    rejected = LedgerState(retiring=("v0", "v1"))
    adopted = fold(rejected, LedgerEvent(kind=EventKind.ADOPTED, candidate=candidate("v0")), seq=1, at=NOW)
    assert adopted.retiring == ("v1",)


def test_releasing_the_stable_again_keeps_the_way_back():
    state = state_in(S.PROMOTING, stable="new").model_copy(update={"previous": served("older")})
    after = move(state, S.STABLE)
    assert (after.stable.version, after.previous.version, after.retiring) == ("new", "older", ())


def test_after_a_promotion_the_one_before_the_previous_retires():
    state = state_in(S.PROMOTING).model_copy(update={"previous": served("older")})
    after = move(state, S.STABLE)
    assert (after.stable.version, after.previous.version, after.retiring) == ("new", "old", ("older",))


@pytest.mark.parametrize("version", ["old", "older"])
def test_a_rolled_back_return_leaves_what_it_came_from_loaded(version):
    state = state_in(S.ROLLING_BACK).model_copy(update={"previous": served("older")})
    release = state.release.model_copy(update={"candidate": candidate(version)})
    after = move(state.model_copy(update={"release": release}), S.ROLLED_BACK)
    assert after.retiring == ()
