import shutil
from datetime import timedelta
from itertools import count

import pytest

from fakes.release_world import HEALTHY, SICK, SILENT, ReleaseWorld
from fakes.tiny_model import overlap
from recflow.artifacts.ledger import RefusedChange, ReleaseState
from recflow.errors import ServerUnavailable
from recflow.monitoring.watch import _context, live_versions, watch, watch_without_recipe, watched_recipes
from recflow.protocols import OutcomeReading, TrafficReading
from recflow.rollout import operations

S = ReleaseState
SLOW = TrafficReading(requests=500, errors=0, p95_ms=900.0)


@pytest.fixture
def world(tmp_path):
    world = ReleaseWorld(tmp_path)
    world.stable(1)
    world.stable(2)
    world.metrics.newest = world.clock.now()
    return world


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def look(world):
    return watch(world.recipe, world)


def wrong(query, items):
    return [0.0] * len(items)


def canary(world):
    version = world.record(3)
    world.play(at(S.CANARY))
    return version


def test_all_well_says_nothing(world):
    report = look(world)
    assert [seen.role for seen in report.observations] == ["stable", "previous"]
    assert (report.incidents, report.roll_back) == ((), None)
    assert all(seen.probe.asked > 0 for seen in report.observations)


@pytest.mark.parametrize("reading", [SICK, SLOW])
def test_a_candidate_whose_requests_suffer_is_named_for_rollback(world, reading):
    version = canary(world)
    world.metrics.set[version] = reading
    assert look(world).roll_back.roll_back == version


def test_a_candidate_that_answers_wrongly_is_named_for_rollback(world):
    version = canary(world)
    world.true_server.scores[version] = wrong
    incident = look(world).roll_back
    assert (incident.roll_back, "golden answers are wrong" in incident.reason) == (version, True)


def test_a_candidate_is_asked_no_more_items_than_the_infra_check_asked(world):
    version = canary(world)
    world.true_server.scores[version] = lambda query, items: [
        0.0 if len(items) > 2 else overlap(query, item.title) for item in items
    ]
    assert look(world).roll_back is not None
    infra = world.recipe.rollout.infra.model_copy(update={"batch_sizes": (1, 2)})
    rollout = world.recipe.rollout.model_copy(update={"infra": infra})
    recipe = world.recipe.model_copy(update={"rollout": rollout})
    assert watch(recipe, world).roll_back is None


def test_a_candidate_before_shoppers_is_not_watched(world):
    world.record(3)
    world.play(at(S.PACKAGED))
    assert [role for role, _, _ in live_versions(world.state)] == ["stable", "previous"]


def test_a_sick_stable_is_left_for_a_previous_version_that_is_well(world):
    stable, previous = world.state.stable.version, world.state.previous.version
    world.true_server.scores[stable] = wrong
    incident = look(world).roll_back
    operations.rollback(world.recipe, world, person="watch", reason=incident.reason, version=incident.roll_back)
    assert world.play().stable.version == previous


def test_a_stable_that_came_by_a_return_is_not_left_again(world):
    operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    world.play()
    world.true_server.scores[world.state.stable.version] = wrong
    report = look(world)
    assert report.roll_back is None
    assert "a person must say where to go" in report.incidents[0].reason


def test_a_version_that_is_returned_to_and_is_sick_is_told_and_not_left(world):
    previous = world.state.previous.version
    operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    world.true_server.scores[previous] = wrong
    report = look(world)
    assert report.roll_back is None
    assert [incident.about for incident in report.incidents] == [f"answers of {previous}"]
    assert previous in world.notifier.cards[-1].cause


def test_a_version_of_which_one_process_of_several_is_dead_is_not_called_silent(world):
    version, asked = canary(world), count()

    def every_second(query, items):
        if next(asked) % 2 == 0:
            raise ServerUnavailable("the process is not healthy")
        return [overlap(query, item.title) for item in items]

    world.true_server.scores[version] = every_second
    assert look(world).incidents == ()


def test_a_dead_server_is_told_and_nothing_is_rolled_back(world):
    canary(world)
    world.true_server.down = True
    report = look(world)
    assert report.roll_back is None
    assert {incident.runbook for incident in report.incidents} == {"watch-breach"}


def test_a_candidate_as_sick_as_stable_is_not_blamed(world):
    version = canary(world)
    world.metrics.set = {version: SICK, world.state.stable.version: SICK}
    assert look(world).roll_back is None


def test_few_requests_say_nothing(world):
    version = canary(world)
    world.metrics.set[version] = TrafficReading(requests=19, errors=19, p95_ms=1.0)
    assert look(world).incidents == ()


def test_a_log_that_fell_silent_is_told(world):
    world.clock.tick(world.recipe.watch.max_silence_seconds + 61)
    world.metrics.set = dict.fromkeys(world.metrics.set, SILENT)
    assert [incident.runbook for incident in look(world).incidents] == ["event-log-silent"]


def test_outcomes_without_an_answer_are_told_and_blame_no_version(world):
    version = canary(world)
    world.metrics.acts = OutcomeReading(800, {"not_shown": 20, "unknown_request": 180})
    report = look(world)
    assert (report.roll_back, [incident.runbook for incident in report.incidents]) == (None, ["outcomes-unmatched"])
    card = world.true_notifier.cards[-1]
    assert "20.0% of 1,000 outcomes belong to no answer (limit 10.0%): unknown_request 180, not_shown 20" in card.cause
    assert (card.shoppers_affected, card.command) == (False, f"recflow watch {world.recipe.name}")
    assert world.state.release.candidate.version == version


@pytest.mark.parametrize("acts", [OutcomeReading(900, {"not_shown": 100}), OutcomeReading(0, {"not_shown": 99})])
def test_a_share_within_the_limit_and_few_outcomes_wake_nobody(world, acts):
    world.metrics.acts = acts
    assert look(world).incidents == ()


def test_outcomes_of_another_kind_of_fault_are_told_again(world):
    for reason in ("not_shown", "not_shown", "other_user"):
        world.metrics.acts = OutcomeReading(100, {reason: 100})
        look(world)
    assert [card.runbook for card in world.true_notifier.cards].count("outcomes-unmatched") == 2


def test_many_days_without_a_promotion_are_told(world):
    world.clock.tick(15 * 86_400)
    world.metrics.newest = world.clock.now()
    assert [incident.runbook for incident in look(world).incidents] == ["no-promotion"]


def test_the_same_trouble_is_told_once_a_day(world):
    world.clock.tick(timedelta(days=15).total_seconds())
    for hours in (0, 1, 22, 2):
        world.clock.tick(hours * 3600)
        world.metrics.newest = world.clock.now()
        look(world)
    told = [card for card in world.true_notifier.cards if card.runbook == "no-promotion"]
    assert len(told) == 2


def test_ages_are_never_negative_after_the_clock_was_put_back(world):
    canary(world)
    world.clock.tick(-3600)
    report = look(world)
    assert report.incidents == ()
    around = _context(world.recipe, world, world.state, world.clock.now())
    assert (around.silence_s, around.days_since_promotion) == (0, 0)


def test_a_clock_that_is_put_back_under_a_probe_makes_no_answer_slow_or_quicker_than_nought(world):
    now, ticks = world.clock.now, iter((0, 0, -3600))
    world.clock.now = lambda: now() + timedelta(seconds=next(ticks, -3600))
    assert {seen.probe.slowest_ms for seen in look(world).observations} == {0}


@pytest.mark.parametrize(("jump_s", "cards"), [(-3600, 1), (-86_400, 2), (-365 * 86_400, 2)])
def test_trouble_told_by_a_clock_that_was_put_back_is_told_again_within_a_day(world, jump_s, cards):
    world.true_server.down = True
    look(world)
    before = len(world.true_notifier.cards)
    world.clock.tick(jump_s)
    look(world)
    assert len(world.true_notifier.cards) == before * cards


def test_a_log_that_fell_silent_is_told_an_hour_later_at_most_when_the_clock_was_put_back(world):
    world.clock.tick(-3600)
    world.clock.tick(world.recipe.watch.max_silence_seconds + 3661)
    assert [incident.runbook for incident in look(world).incidents] == ["event-log-silent"]


def test_trouble_that_went_and_came_back_is_told_again(world):
    stable = world.state.stable.version
    for reading in (SICK, HEALTHY, SICK):
        world.metrics.set[stable] = reading
        world.true_server.down = reading is SICK
        look(world)
    assert [card.runbook for card in world.true_notifier.cards].count("watch-breach") == 2


def test_new_worse_trouble_is_told_although_its_runbook_was_told_before(world):
    operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    world.play()
    for reading in (SLOW, SLOW, SICK, SICK):
        world.metrics.set[world.state.stable.version] = reading
        look(world)
    causes = [card.cause for card in world.true_notifier.cards if card.runbook == "watch-breach"]
    assert ["p95" in cause for cause in causes] == [True, False]


def test_a_sick_candidate_affects_shoppers_only_once_they_met_it(world):
    version = world.record(3)
    world.play(at(S.SHADOW))
    world.metrics.set = {version: SICK, world.state.stable.version: HEALTHY}
    assert not look(world).incidents[0].shoppers_affected
    world.metrics.set[version] = HEALTHY
    world.play(at(S.CANARY))
    world.metrics.set[version] = SICK
    assert look(world).incidents[0].shoppers_affected


def test_a_package_that_cannot_be_read_again_is_told_and_blames_nobody(world):
    package = world.state.stable.package
    prefix = package.uri.removeprefix(f"{world.store.root}/")
    world.store.objects[f"{prefix}/a1/golden.json"] = b"[]"
    shutil.rmtree(world.folder / "cache" / package.digest)
    report = look(world)
    assert [incident.runbook for incident in report.incidents] == ["artifact-corrupt"]
    assert report.roll_back is None


def test_a_line_without_a_stable_is_watched_in_peace(tmp_path):
    assert watch(ReleaseWorld(tmp_path).recipe, ReleaseWorld(tmp_path)).incidents == ()


def test_the_report_is_plain_json(world):
    canary(world)
    assert look(world).model_dump(mode="json")["observations"][0]["probe"]["wrong"] == 0


def test_a_line_that_stands_still_is_told_once_a_day_until_it_goes_on(world):
    stop = "the line stands still: a change was refused on 2 nights: training.epochs: 2 → 5. Last: worse"
    for _ in range(2):
        report = watch(world.recipe, world, stop)
    assert [(incident.runbook, incident.reason) for incident in report.incidents] == [("change-refused", stop)]
    told = [card for card in world.true_notifier.cards if card.runbook == "change-refused"]
    assert [(card.cause, card.shoppers_affected) for card in told] == [(stop, False)]
    assert look(world).incidents == ()


def test_a_change_that_was_given_up_is_told_by_freshness_alone(world):
    world.clock.tick(86_400 * (world.recipe.watch.max_days_without_promotion + 1))
    world.metrics.newest = world.clock.now()
    state = world.state
    refused = RefusedChange(made_with="a", changes=("x",), nights=("2011-01-03",), given_up="given up by ada: no use")
    ledger = FixedLedger(world.true_ledger.head(world.recipe.name), state.model_copy(update={"refused": refused}))
    world.ledger = ledger
    report = watch(world.recipe, world, "the line stands still: a change was given up (given up by ada: no use): x")
    assert [incident.runbook for incident in report.incidents] == ["no-promotion"]
    assert report.incidents[0].reason.endswith(
        "the line stands still: a change was given up (given up by ada: no use): x"
    )


class FixedLedger:
    """A ledger whose head has another state."""

    def __init__(self, head, state):
        self._head = head.model_copy(update={"state": state})

    def head(self, recipe):
        return self._head


def paused_cards(world):
    watch(world.recipe, world, paused=True)
    return [card for card in world.true_notifier.cards if card.runbook == "release-paused"]


def test_a_release_that_a_pause_keeps_from_going_forward_is_told_once_with_the_way_to_stop_everything(world):
    canary(world)
    for _ in range(2):
        (card,) = paused_cards(world)
    assert f"{world.state.release.release_id} is in canary, and its release DAG is paused" in card.cause
    assert "no step forward is taken, steps of a way back are" in card.cause
    assert "recflow release freeze" in card.cause
    assert not card.shoppers_affected
    assert "release-paused" not in {incident.runbook for incident in look(world).incidents}


def test_a_candidate_that_waits_while_its_release_dag_is_paused_is_told(world):
    version = world.record(3)
    (card,) = paused_cards(world)
    assert card.cause.startswith(f"{version} waits to be released, and its release DAG is paused")


def test_a_pause_is_no_trouble_where_nothing_would_go_forward(world):
    assert paused_cards(world) == []
    canary(world)
    operations.hold(world.recipe.name, world.ledger, person="ada", reason="a look")
    assert paused_cards(world) == []
    operations.resume(world.recipe.name, world.ledger, person="ada")
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    assert paused_cards(world) == []
    operations.unfreeze(world.recipe.name, world.ledger, person="ada")
    operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    assert paused_cards(world) == []


def test_a_line_whose_recipe_cannot_be_read_is_told_once_a_day_with_what_is_out_of_sight(world):
    look(world)
    canary(world)
    assert watched_recipes(world.artifacts.store) == [world.recipe.name]
    for _ in range(2):
        assert watch_without_recipe(world.recipe.name, "there is no such file", world)
    (card,) = [card for card in world.true_notifier.cards if card.runbook == "recipe-gone"]
    serving, release = world.state.stable.version, world.state.release.release_id
    assert card.cause == (
        f"{serving} serves and {release} is in canary, and nobody watches or moves it: there is no such file"
    )
    assert card.command == f"recflow release status {world.recipe.name}"


def test_a_line_that_serves_nothing_and_releases_nothing_may_go(tmp_path):
    world = ReleaseWorld(tmp_path)
    look(world)
    assert not watch_without_recipe(world.recipe.name, "there is no such file", world)
    assert world.true_notifier.cards == []
