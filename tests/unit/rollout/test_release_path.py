import math
import shutil
from datetime import timedelta

import pytest

from fakes.release_world import HEALTHY, QUICK, SICK, SILENT, ReleaseWorld, decide
from fakes.sample_events import exposure
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Fallback
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.plans import Blackout, ShadowPlan
from recflow.errors import ServerUnavailable, StoreFull, StoreUnavailable
from recflow.protocols import TrafficReading
from recflow.rollout import operations

S = ReleaseState
PROMOTED = [
    "(candidate_recorded)",
    "packaged",
    "checked",
    "shadow",
    "canary",
    "canary",
    "judging",
    "promoting",
    "stable",
]


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def with_plan(world, **changes):
    world.recipe = world.recipe.model_copy(update={"rollout": QUICK.model_copy(update=changes)})


def test_the_first_release_goes_by_golden_traffic_straight_to_stable(world):
    version = world.stable(1)
    assert world.path == ["(candidate_recorded)", "packaged", "checked", "shadow", "promoting", "stable"]
    assert world.table.assign("anybody").version == version
    assert [entry.event.reason for entry in operations.history(world.recipe.name, world.ledger)][-1] == "first_release"


def test_the_first_release_waits_for_a_person_unless_the_plan_says_otherwise(world):
    with_plan(world, approve_first=True)
    world.record(1)
    state = world.play(at(S.AWAITING_APPROVAL))
    world.advance()
    assert state.release.state is S.AWAITING_APPROVAL
    assert "approval" in world.true_notifier.cards[-1].title
    operations.approve(world.recipe.name, world.ledger, person="ada")
    assert world.play().stable is not None


def test_a_better_candidate_goes_every_step_to_stable(world):
    first = world.stable(1)
    before = len(world.path)
    second = world.record(2)
    state = world.play()
    assert world.path[before:] == PROMOTED
    assert (state.stable.version, state.previous.version) == (second, first)
    assert world.loaded == (first, second)
    assert world.registry.aliases(world.recipe.name) == {"champion": second}


def test_the_version_before_the_previous_one_is_unloaded_after_acknowledgement(world):
    _, second, third = world.stable(1), world.stable(2), world.stable(3)
    assert world.loaded == (second, third)
    assert world.state.retiring == ()


def test_nothing_is_unloaded_while_a_gateway_lags(world):
    first = world.stable(1)
    world.stable(2)
    world.record(3)
    world.play(lambda ledger: ledger.retiring != ())
    assert not world.advance().changed
    assert first in world.loaded
    world.poll()
    world.advance()
    assert first not in world.loaded


def test_promotion_waits_for_every_live_gateway(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.PROMOTING))
    assert not world.advance().changed
    assert world.state.release.state is S.PROMOTING
    world.poll()
    world.advance()
    assert world.state.last_state is S.STABLE


def test_a_gateway_that_never_takes_the_promotion_holds_it(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.PROMOTING))
    world.clock.tick(QUICK.health.no_data_grace_seconds)
    world.advance()
    assert world.state.release.state is S.HELD
    assert "gateway-1" in world.state.release.reason


def test_a_candidate_that_fails_the_infra_check_is_rejected_and_unloaded(world):
    first = world.stable(1)
    world.record(2)
    world.check_verdict = Verdict.FAIL
    state = world.play()
    assert state.last_state is S.REJECTED
    assert world.loaded == (first,)
    assert "rejected" in world.true_notifier.cards[-1].title


def test_a_package_with_a_changed_byte_is_rejected(world):
    first = world.stable(1)
    package = world.package(2)
    world.record(2, package)
    key = next(key for key in world.store.objects if key in f"{package.uri}/a1/1/model.onnx")
    world.store.objects[key] = b"x"
    state = world.play()
    assert state.last_state is S.REJECTED
    assert world.table.stable == first


def test_a_spoilt_local_copy_of_a_package_is_fetched_anew(world):
    world.stable(1)
    package = world.package(2)
    version = world.record(2, package)
    (world.artifacts.fetch(package) / "1" / "model.onnx").write_bytes(b"x")
    assert world.play().stable.version == version


def spoil(world, package):
    """The server has lost the package's version, and the package is damaged in the store and on this host."""
    world.true_server.packages.pop((world.recipe.name, world.state.stable.version))
    key = next(key for key in world.store.objects if key in f"{package.uri}/a1/1/model.onnx")
    world.store.objects[key] = b"x"
    shutil.rmtree(world.folder / "cache" / package.digest)


def test_a_damaged_stable_stops_no_return_from_it(world):
    first, second = world.stable(1), world.stable(2)
    spoil(world, world.state.stable.package)
    operations.rollback(world.recipe, world, person="ada", reason="it does not answer", version=second)
    assert world.play().stable.version == first


def test_a_damaged_stable_stops_no_rollback_of_a_candidate(world):
    world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    spoil(world, world.state.stable.package)
    world.metrics.set[version] = SICK
    world.advance()
    assert world.state.release.state is S.ROLLING_BACK


def test_a_store_that_is_full_in_mid_release_leaves_it_where_it_is_until_there_is_space(world):
    world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.clock.tick(20)
    world.store.capacity = sum(map(len, world.store.objects.values()))
    with pytest.raises(StoreFull):
        world.advance()
    assert world.state.release.state is S.CANARY
    world.store.capacity = None
    assert world.play().stable.version == version


def test_a_model_that_the_server_refuses_is_rejected(world):
    world.stable(1)
    version = world.record(2)
    world.true_server.refuse[version] = "bad config"
    assert world.play().last_state is S.REJECTED


def test_a_sick_canary_is_rolled_back_at_once(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.metrics.set[version] = SICK
    world.advance()
    assert world.state.release.state is S.ROLLING_BACK
    assert world.table.versions == (first,)
    assert world.play().last_state is S.ROLLED_BACK
    assert world.loaded == (first,)
    assert world.true_notifier.cards[-1].runbook == "release-rolled-back"


def test_a_rollback_ends_only_when_every_gateway_has_left_the_candidate(world):
    world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.poll()
    world.metrics.set[version] = SICK
    world.advance()
    assert not world.advance().changed
    assert version in world.loaded
    world.poll()
    world.advance()
    assert world.state.last_state is S.ROLLED_BACK


def test_both_arms_sick_is_the_server_and_not_the_candidate(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.metrics.set = {version: SICK, first: SICK}
    world.advance()
    assert world.state.release.state is S.CANARY


def test_both_arms_sick_beyond_the_grace_time_is_rolled_back(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.metrics.set = {version: SICK, first: SICK}
    assert world.play().last_state is S.ROLLED_BACK


@pytest.mark.parametrize("stage", [S.SHADOW, S.CANARY, S.JUDGING])
def test_a_night_without_a_request_in_both_arms_is_waited_out(world, stage):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(stage))
    cards = len(world.true_notifier.cards)
    world.metrics.set = {version: SILENT, first: SILENT}
    world.judge_after_s = math.inf
    for _ in range(500):
        waits = world.advance()
        world.clock.tick(waits.wait_s or 60)
    assert world.state.release.state is stage
    assert "no request to either version" in waits.reason
    assert "waiting for traffic" in waits.reason
    world.metrics.set, world.judge_after_s = {version: HEALTHY, first: HEALTHY}, 30
    assert world.play().stable.version == version
    assert len(world.true_notifier.cards) == cards


@pytest.mark.parametrize("stage", [S.SHADOW, S.CANARY])
def test_a_night_counts_nothing_towards_the_least_time_of_a_state(world, stage):
    world.stable(1)
    world.record(2)
    world.play(at(stage))
    began = world.clock.now()
    world.metrics.nights = [(began + timedelta(seconds=5), world.clock.tick(3600))]
    waits = world.advance()
    assert world.state.release.state is stage
    assert "time in which nobody came does not count" in waits.reason
    world.clock.tick(20)
    world.advance()
    assert (world.state.release.state, world.state.release.step) in ((S.CANARY, stage is S.CANARY), (S.JUDGING, 0))


def test_a_plan_that_asks_for_no_mirrored_requests_waits_for_nobody(world):
    with_plan(world, shadow=ShadowPlan(min_seconds=10, min_requests=0))
    world.stable(1)
    world.record(2)
    world.metrics.asleep = True
    world.play(at(S.CANARY))
    assert world.state.release.state is S.CANARY


def test_judging_gives_up_after_hours_with_shoppers_only(world):
    world.stable(1)
    world.record(2)
    world.judge_after_s = math.inf
    world.play(at(S.JUDGING))
    world.metrics.nights = [(world.clock.now(), world.clock.tick(5 * 3600))]
    world.advance()
    assert world.state.release.state is S.JUDGING
    assert world.play(limit=2000).last_state is S.ROLLED_BACK
    reasons = [entry.event.reason for entry in operations.history(world.recipe.name, world.ledger)]
    assert [reason for reason in reasons if reason.startswith("no verdict after 1 hours")]


@pytest.mark.parametrize("stage", [S.SHADOW, S.CANARY, S.JUDGING])
def test_metrics_that_cannot_be_read_are_no_silence(world, stage):
    version = (world.stable(1), world.record(2))[1]
    world.play(at(stage))

    class Unread:
        def __getattr__(self, name):
            raise StoreUnavailable("the event log cannot be read", expected="an answer", seen="none")

    readable, world.metrics = world.metrics, Unread()
    for _ in range(30):
        with pytest.raises(StoreUnavailable):
            world.advance()
        world.clock.tick(60)
    assert world.state.release.state is stage
    world.metrics = readable
    assert world.play().stable.version == version


@pytest.mark.parametrize("stage", [S.SHADOW, S.CANARY, S.JUDGING])
def test_silence_of_the_candidate_alone_is_a_fault_and_a_person_is_told(world, stage):
    world.stable(1)
    version = world.record(2)
    world.play(at(stage))
    world.metrics.set[version] = SILENT
    world.advance()
    assert world.state.release.state is stage, "gateways may not have taken the routes yet"
    world.clock.tick(61)
    world.advance()
    assert world.state.release.state is S.HELD
    assert "the candidate got no request while the control got those of 500 users" in world.state.release.reason
    assert world.true_notifier.cards[-1].runbook == "release-held"


def test_too_little_traffic_is_held_once_it_flowed_for_the_grace_time(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    few = TrafficReading(requests=3, errors=0, p95_ms=20.0)
    world.metrics.set = {version: few, first: few}
    world.play(at(S.HELD))
    assert "3 requests in the smaller arm" in world.state.release.reason


def test_few_users_of_the_control_say_nothing_of_a_silent_candidate(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.metrics.set = {version: SILENT, first: TrafficReading(requests=19, errors=0, p95_ms=20.0)}
    world.clock.tick(61)
    world.advance()
    assert world.state.release.state is S.CANARY


@pytest.mark.parametrize("state", [S.HELD, S.ROLLING_BACK])
def test_a_clock_that_jumps_back_an_hour_keeps_no_release_from_its_way_back(world, state):
    first, version = world.stable(1), world.record(2)
    world.play(at(S.CANARY))
    if state is S.HELD:
        operations.hold(world.recipe.name, world.ledger, person="ada", reason="a look")
    else:
        operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    world.clock.tick(-3600)
    assert world.play().last_state is S.ROLLED_BACK
    assert (world.state.stable.version, version in world.loaded) == (first, False)


@pytest.mark.parametrize("stage", [S.PACKAGED, S.SHADOW, S.CANARY, S.JUDGING, S.PROMOTING])
def test_a_clock_that_jumps_back_an_hour_delays_a_release_and_ends_none(world, stage):
    world.stable(1)
    version = world.record(2)
    world.play(at(stage))
    world.clock.tick(-3600)
    assert world.play(limit=9000).stable.version == version
    assert S.HELD not in world.path


@pytest.mark.parametrize("stage", [S.SHADOW, S.CANARY, S.JUDGING])
def test_a_sick_candidate_is_left_while_a_clock_that_was_put_back_catches_up(world, stage):
    world.stable(1)
    version = world.record(2)
    world.play(at(stage))
    del world.metrics.set[version]
    now = world.clock.tick(-3600)
    world.metrics.events.append(
        "w",
        [
            exposure(
                f"r-{user}",
                recipe=world.recipe.name,
                at=now - timedelta(seconds=5),
                user_key=f"u{user}",
                experiment=world.table.experiment,
                assigned_version=version,
                served_version="",
                fallback=Fallback.ERROR,
            )
            for user in range(500)
        ],
    )
    world.advance()
    assert world.state.release.state is S.ROLLING_BACK


def test_a_held_release_goes_on_where_it_was_when_a_person_resumes_it(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    operations.hold(world.recipe.name, world.ledger, person="ada", reason="a strange graph")
    operations.resume(world.recipe.name, world.ledger, person="ada")
    assert world.state.release.state is S.CANARY
    assert world.play().stable.version == version
    assert world.state.previous.version == first


def test_a_held_release_that_nobody_looks_at_is_rolled_back(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    operations.hold(world.recipe.name, world.ledger, person="ada", reason="a strange graph")
    assert world.play().last_state is S.ROLLED_BACK


def test_harm_in_the_online_gate_is_rolled_back(world):
    first = world.stable(1)
    world.record(2)
    world.verdict = Verdict.FAIL
    state = world.play()
    assert state.last_state is S.ROLLED_BACK
    assert state.stable.version == first


@pytest.mark.parametrize(
    ("answer", "end"), [("keep_stable", S.ROLLED_BACK), ("promote", S.STABLE), ("hold", S.ROLLED_BACK)]
)
def test_no_verdict_in_time_ends_as_the_plan_says(world, answer, end):
    with_plan(world, judging=QUICK.judging.model_copy(update={"on_inconclusive": answer}))
    world.stable(1)
    world.record(2)
    world.verdict = Verdict.INCONCLUSIVE
    assert world.play(limit=2000).last_state is end
    assert (S.HELD in world.path) == (answer == "hold")


@pytest.mark.parametrize(("answer", "end"), [("promote", S.ROLLING_BACK), ("hold", S.HELD)])
def test_an_experiment_that_can_no_longer_pass_ends_at_once_and_is_never_promoted(world, answer, end):
    with_plan(world, judging=QUICK.judging.model_copy(update={"on_inconclusive": answer}))
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    world.judge = lambda *_: decide(Verdict.INCONCLUSIVE, settled="revenue_per_user may be worse")
    world.advance()
    assert world.state.release.state is end
    assert "revenue_per_user may be worse" in world.state.release.reason


def test_a_mismatched_sample_holds_the_release(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    world.judge = lambda *_: decide(Verdict.INCONCLUSIVE, hold="arms differ in size")
    world.advance()
    assert world.state.release.state is S.HELD
    assert "arms differ" in world.state.release.reason


def test_a_downtime_skips_nothing_that_must_be_judged(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.SHADOW))
    for _ in range(8):
        world.clock.tick(5 * 3600)
        world.poll()
        world.advance()
    assert world.path[-9:] == PROMOTED


def test_a_newer_candidate_supersedes_a_waiting_release(world):
    with_plan(world, approval=True)
    world.record(1)
    world.play(at(S.AWAITING_APPROVAL))
    newer = world.record(2)
    world.advance()
    assert world.path[-1] == "superseded"
    world.play(at(S.AWAITING_APPROVAL))
    assert world.state.release.candidate.version == newer


def test_a_newer_candidate_waits_for_one_that_is_judged(world):
    world.stable(1)
    second = world.record(2)
    world.play(at(S.JUDGING))
    third = world.record(3)
    world.advance()
    assert world.state.release.candidate.version == second
    state = world.play()
    assert (state.previous.version, state.stable.version) == (second, third)


def test_a_freeze_stops_steps_forward_and_no_rollback(world):
    world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    world.clock.tick(1000)
    assert "sale" in world.advance().reason
    assert world.state.release.state is S.CANARY
    world.metrics.set[version] = SICK
    assert world.play().last_state is S.ROLLED_BACK


def test_a_blackout_opens_no_release(world):
    now = world.clock.now()
    with_plan(world, blackouts=(Blackout(start=now, end=now + timedelta(hours=1), reason="double eleven"),))
    world.record(1)
    assert "double eleven" in world.advance().reason
    assert operations.claim(world.recipe, world.ledger, world.artifacts, now).release_id == ""
    world.clock.tick(3600)
    assert world.play().stable is not None


def test_a_server_killed_in_mid_release_leaves_it_where_it_is_until_it_is_back(world):
    first = world.stable(1)
    second = world.record(2)
    world.play(at(S.CANARY))
    world.true_server.down = True
    with pytest.raises(ServerUnavailable):
        world.advance()
    assert world.state.release.state is S.CANARY
    world.true_server.down = False
    world.true_server.packages.clear()
    world.advance()
    assert world.loaded == (first, second)
    assert world.play().stable.version == second


def test_a_sick_candidate_is_rolled_back_although_the_server_is_down(world):
    world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.true_server.down = True
    world.metrics.set[version] = SICK
    world.poll()
    world.advance()
    world.poll()
    world.advance()
    assert world.state.last_state is S.ROLLED_BACK


def test_a_registry_that_does_not_answer_stops_no_release_and_is_repaired_later(world):
    def refuse(*args, **kwargs):
        raise StoreUnavailable("the registry does not answer")

    world.true_registry.aliases = refuse
    version = world.stable(1)
    del world.true_registry.aliases
    world.advance()
    assert world.registry.aliases(world.recipe.name) == {"champion": version}


def test_a_person_is_told_before_the_registry_is_asked(world):
    world.stable(1)
    world.record(2)
    world.check_verdict = Verdict.FAIL
    world.wire.arm(10**6, "before")
    world.play()
    assert world.wire.calls.index("notifier.notify") < world.wire.calls.index("registry.aliases")


def test_a_card_says_whether_some_shopper_met_the_candidate(world):
    world.stable(1)
    version = world.record(2)
    world.metrics.set[version] = SICK
    world.play()
    unmet = world.true_notifier.cards[-1]
    version = world.record(3)
    world.play(at(S.CANARY))
    world.metrics.set[version] = SICK
    world.play()
    met = world.true_notifier.cards[-1]
    assert unmet.runbook == met.runbook == "release-rolled-back"
    assert (unmet.shoppers_affected, met.shoppers_affected) == (False, True)


def test_health_is_read_from_the_stage_that_stands_now(world):
    world.stable(1)
    world.record(2)
    seen = []
    traffic = world.metrics.traffic
    world.metrics.traffic = lambda recipe, **asked: seen.append(asked["experiment"]) or traffic(recipe, **asked)
    world.play()
    stages = [name.rpartition(":")[2] for name in dict.fromkeys(seen)]
    assert stages == ["shadow", "canary_0", "canary_1", "judging"]
