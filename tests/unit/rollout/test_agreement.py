"""What shadow compares decides whether a shopper may meet the candidate."""

import pytest

from fakes.release_world import NAME, QUICK, SICK, ReleaseWorld
from fakes.relevance import SERVING
from fakes.sample_events import NOON
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Comparison
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.plans import Plan, ShadowPlan
from recflow.artifacts.refs import RefKind
from recflow.config.sections.training import TrainingSection
from recflow.errors import ReleaseRefused
from recflow.rollout import operations
from recflow.rollout.agreement import ComparedRequest, judge_agreement, most_different
from recflow.rollout.cards import card_of
from recflow.rollout.differences import erase_differences, forget_users, read_differences
from recflow.rollout.housekeeping import clean_artifacts

S = ReleaseState
V = Verdict


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def shadowed(world, taus, **fields):
    """A second day's candidate in shadow, of which a request a tau was compared."""
    if world.state.stable is None:
        world.stable(1)
    version = world.record(2)
    world.play(at(S.SHADOW))
    world.compare(taus, **fields)
    return version


def held(world, taus, **fields):
    version = shadowed(world, taus, **fields)
    assert world.play(at(S.HELD)).release.held_from is S.SHADOW
    return version


def compared(taus, **fields):
    told = {"asked": "", "length": 8, "overlap": None, "score_difference": 0.1, "erased": False}
    return [
        ComparedRequest(**({"request_id": f"r-{n}", "at": NOON, "tau": tau} | told | {"asked": f"shoes {n}"} | fields))
        for n, tau in enumerate(taus)
    ]


def judge(rows, **plan):
    return judge_agreement(Plan(shadow=ShadowPlan(**plan)), rows, SERVING)


def test_a_daily_refresh_goes_on_and_the_status_tells_how_far_it_agrees(world):
    version = shadowed(world, [0.7, 0.8] * 20)
    state = world.play(at(S.CANARY))
    assert state.release.reason.startswith("tau is 0.75 over 40 requests (limit 0.30)")
    world.play()
    assert world.state.stable.version == version


def test_a_reversed_order_is_held_before_a_shopper_sees_it_with_the_figures_and_the_lowest_group(world):
    version = held(world, [0.9] * 30 + [-1.0] * 60, query="shoes")
    world.clock.tick(1)
    release = world.state.release
    assert not release.met
    assert [state for state in world.path if state in {"canary", "judging", "promoting"}] == ["promoting"]
    assert "tau is -0.37 over 90 requests (limit 0.30), lowest" in release.reason
    card = world.true_notifier.cards[-1]
    assert card.title == f"{NAME}: {version} is held where it stands"
    assert (card.command, card.shoppers_affected) == (f"recflow release differences {NAME}", False)
    assert card.cause == release.reason


def test_a_fault_in_long_lists_alone_is_held_although_the_whole_agrees(world):
    shadowed(world, [0.9] * 200)
    world.compare([-1.0] * 25, length=60, overlap=0.6)
    reason = world.play(at(S.HELD)).release.reason
    assert (
        "tau is 0.69 over 225 requests (limit 0.30), lowest -1.00 over 25 requests in lists of more than 50" in reason
    )


def test_lists_that_show_other_items_are_held_by_their_overlap(world):
    held(world, [0.6] * 40, length=100, overlap=0.2)
    assert "overlap of the first ten is 0.20 over 40 requests (limit 0.50)" in world.state.release.reason


def test_lists_of_one_item_leave_nothing_to_compare_which_is_told_and_holds_nothing(world):
    shadowed(world, [None] * 40, length=1)
    release = world.play(at(S.CANARY)).release
    assert release.reason == "nothing to compare: each of 40 lists has one item"


def test_without_a_comparison_shadow_passes_by_latency_and_failures_and_tells_so(world):
    shadowed(world, [])
    release = world.play(at(S.CANARY)).release
    assert release.reason.startswith(
        "nothing to compare: no request that stable answered was answered by the candidate too"
    )


def test_a_candidate_that_fails_on_every_tenth_request_goes_back_however_well_the_others_agree(world):
    world.stable(1)
    version = world.record(2)
    world.metrics.set[version] = SICK
    world.play(at(S.SHADOW))
    world.compare([1.0] * 90)
    world.play()
    assert world.state.last_state is S.ROLLED_BACK
    assert RefKind.COMPARISON.folder not in " ".join(world.store.objects)


def test_a_change_may_order_otherwise_and_the_figures_are_told(world):
    world.stable(1)
    world.record(2, world.package(2, world.recipe.model_copy(update={"training": TrainingSection(epochs=5)})))
    world.play(at(S.SHADOW))
    world.compare([-1.0] * 40)
    assert "tau is -1.00 over 40 requests" in world.play(at(S.CANARY)).release.reason


def test_a_limit_of_the_recipe_asks_nobody_at_the_least_value(world):
    plan = QUICK.model_copy(update={"shadow": ShadowPlan(min_seconds=10, min_requests=5, min_tau=-1)})
    world.recipe = world.recipe.model_copy(update={"rollout": plan})
    shadowed(world, [-1.0] * 40)
    assert world.play(at(S.CANARY)).release.candidate.version


def test_accepting_stands_in_the_ledger_and_the_release_is_not_held_again(world):
    version = held(world, [-1.0] * 40)
    operations.resume(NAME, world.ledger, person="ada", reason="the old order was wrong")
    world.compare([-1.0] * 40)
    world.play()
    assert world.state.stable.version == version
    told = [entry.event.reason for entry in world.true_ledger.entries(NAME)]
    assert told.count("ada accepts the differences: the old order was wrong") == 1
    assert world.path.count("held") == 1


def test_differences_are_accepted_with_a_reason_or_not_at_all(world):
    held(world, [-1.0] * 40)
    with pytest.raises(ReleaseRefused, match="not accepted"):
        operations.resume(NAME, world.ledger, person="ada")
    assert world.state.release.state is S.HELD


def test_a_release_held_by_hand_is_resumed_as_ever_and_looked_at_in_the_end(world):
    shadowed(world, [-1.0] * 40)
    operations.hold(NAME, world.ledger, person="ada", reason="a look")
    operations.resume(NAME, world.ledger, person="ada")
    world.compare([-1.0] * 40)
    assert "orders otherwise" in world.play(at(S.HELD)).release.reason


def test_a_hold_that_nobody_accepts_is_rolled_back_after_its_grace_time(world):
    held(world, [-1.0] * 40)
    world.play()
    assert world.state.last_state is S.ROLLED_BACK


def test_comparisons_with_another_version_or_of_another_release_do_not_count(world):
    shadowed(world, [0.9] * 30)
    world.compare([-1.0] * 40, experiment="release-1:shadow")
    world.compare([-1.0] * 40, shown_version="20101231-00000000")
    assert "tau is 0.90 over 30 requests" in world.play(at(S.CANARY)).release.reason


def test_the_ten_most_different_requests_are_kept_once_each_and_without_their_users(world):
    taus = [number / 100 - 0.5 for number in range(40)]
    held(world, taus)
    found = read_differences(NAME, world.ledger, world.artifacts)
    assert [request.tau for request in found.requests] == taus[:10]
    assert {request.user_key for request in found.requests} == {""}
    assert found.entry.event.differences.kind is RefKind.COMPARISON
    ledger = "".join(entry.model_dump_json() for entry in world.true_ledger.entries(NAME))
    assert "red shoes" not in ledger
    assert "shoes 1" not in ledger


def test_one_request_that_is_made_often_stands_once_and_an_erased_one_not_at_all():
    often = compared([-0.9] * 30, asked="hat") + compared([-0.5], asked="shoe")
    gone = compared([-1.0], asked="", erased=True)
    assert [row.asked for row in most_different(often + gone)] == ["hat", "shoe"]


def test_erased_differences_are_gone_and_the_figures_stay(world):
    held(world, [-1.0] * 40)
    for _ in range(2):
        erase_differences(NAME, world.ledger, world.artifacts)
    found = read_differences(NAME, world.ledger, world.artifacts)
    assert found.requests is None
    assert "tau is -1.00" in found.entry.event.reason
    assert not any("red shoes" in str(data) for data in world.store.objects.values())
    operations.resume(NAME, world.ledger, person="ada", reason="seen")
    assert world.play().stable is not None


def test_a_user_who_is_forgotten_is_in_no_request_that_is_kept_or_read_later(world):
    shadowed(world, [])
    world.compare([-0.9] * 20)
    world.compare([-1.0] * 20, user_key="user-2", query="a secret wish")
    world.play(at(S.HELD))
    world.compare([-0.9] * 5, user_key="user-3")
    assert forget(world, "user-3") == 0
    assert read_differences(NAME, world.ledger, world.artifacts).requests, "nothing of theirs is in it"
    assert forget(world, "user-2", "anonymous:2") == 0
    assert read_differences(NAME, world.ledger, world.artifacts).requests is None
    assert "a secret wish" not in str(list(world.store.objects.values())) + str(world.events.records)
    compared = [record for record in world.events.records if isinstance(record, Comparison)]
    assert [record.erased for record in compared].count(True) == 25
    assert {record.query for record in compared if not record.erased} == {f"shoes {number}" for number in range(20)}
    assert "tau is -0.95" in world.state.release.reason, "the figures stay"


def forget(world, *user_keys):
    world.clock.tick(1)
    return forget_users(NAME, user_keys, world.events, world.ledger, world.artifacts)


def test_without_a_hold_there_are_no_differences_to_look_at(world):
    world.stable(1)
    with pytest.raises(ReleaseRefused, match="no differences"):
        read_differences(NAME, world.ledger, world.artifacts)


def test_a_crash_between_the_artifact_and_the_ledger_leaves_one_artifact(world):
    shadowed(world, [-1.0] * 40)
    world.clock.tick(60)
    twin = world.copy()
    for place in (world, twin):
        place.events = world.events
    twin.advance()
    world.store.objects |= {key: data for key, data in twin.store.objects.items() if "/comparisons/" in key}
    world.advance()
    assert world.state.release.differences is not None
    assert world.state.release.differences == twin.state.release.differences


def test_the_differences_of_an_open_release_are_no_garbage(world):
    held(world, [-1.0] * 40)
    world.clock.tick(400 * 86_400)
    clean_artifacts(world.recipe, store=world.store, ledger=world.ledger, clock=world.clock, current=[], at_once=True)
    assert read_differences(NAME, world.ledger, world.artifacts).requests


def test_a_group_is_judged_by_its_queries_and_not_before_there_are_ten_of_them():
    one_query = compared([-1.0] * 50, asked="hat") + compared([0.9] * 200, length=3)
    assert judge(one_query).passed
    nine = [row for number in range(9) for row in compared([-1.0] * 5, asked=f"big hat {number}", length=60)]
    assert judge(nine + compared([0.9] * 200)).passed
    ten = [row for number in range(10) for row in compared([-1.0] * 5, asked=f"big hat {number}", length=60)]
    assert judge(ten + compared([0.9] * 200)).verdict is V.FAIL


def test_a_group_that_chance_alone_puts_below_the_limit_is_not_held():
    lists_of_two = compared([1.0, -1.0, 1.0, -1.0, 1.0] * 5, length=2)
    decision = judge(lists_of_two + compared([0.8] * 400))
    group = next(finding for finding in decision.findings if finding.rule == "tau in lists of 2 to 5 items")
    assert group.value < 0.3 < group.high
    assert decision.passed


@pytest.mark.parametrize(("count", "least", "verdict"), [(19, 200, V.NOT_EVALUATED), (20, 200, V.FAIL), (5, 5, V.FAIL)])
def test_a_reading_needs_twenty_requests_or_as_few_as_the_plan_takes(count, least, verdict):
    assert judge(compared([-1.0] * count), min_requests=least).verdict is verdict


def test_too_few_comparable_lists_are_told_with_their_number():
    [reason] = judge(compared([None] * 30, length=1) + compared([-1.0] * 3)).reasons
    assert reason == (
        "too little to compare: of 33 answers 3 can tell two versions apart (30 are lists of one item),"
        " a reading needs 20"
    )


def test_an_entry_without_differences_keeps_its_card(world):
    shadowed(world, [0.9] * 40)
    operations.hold(NAME, world.ledger, person="ada", reason="a look")
    assert card_of(world.true_ledger.head(NAME)).command == f"recflow release rollback {NAME}"
