import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from fakes.release_world import NAME, ReleaseWorld, interval
from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.ledger import EventKind, LedgerEvent, ReleaseState
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import RefKind
from recflow.cli import release as cli
from recflow.cli.main import run
from recflow.config.sections.training import TrainingSection
from recflow.config.settings import Settings
from recflow.data.heads import HeadHistory
from recflow.errors import BadConfiguration, ReleaseRefused, StoreFull
from recflow.rollout.candidates import record_candidate
from recflow.rollout.moves import as_candidate
from recflow.wiring.provenance import made_with_now
from recflow.wiring.services import Services

S = ReleaseState


class WorldServices(Services):
    """The services of a command, with a world in memory behind them."""

    def __init__(self, world):
        self.world = world
        for name in ("clock", "store", "artifacts", "ledger", "server", "router", "metrics", "registry", "notifier"):
            setattr(self, name, getattr(world, name))
        self.events = world.metrics.events
        self.settings = Settings(base_models=world.folder)

    def recipe(self, name):
        return self.world.recipe


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


@pytest.fixture
def call(world, monkeypatch):
    monkeypatch.setattr(cli, "build_services", lambda: WorldServices(world))

    def run(*arguments):
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def test_status_says_what_serves_and_why_nothing_does(world, call):
    assert "no stable yet" in call("status", NAME)
    version = world.stable(1)
    assert f"stable {version} since 2011-01-05" in call("status", NAME)


def test_status_says_which_days_of_the_serving_model_were_delivered_again_since(world, call):
    heads = HeadHistory(world.store, NAME)
    partitions = [artifact(world, RefKind.PARTITION, f"p{number}", number) for number in (1, 2)]
    for number, ref in enumerate(partitions, start=1):
        heads.record(interval(number), ref, at=world.clock.now())
    dataset = artifact(world, RefKind.DATASET, "d", 2, partitions=tuple(partitions))
    checkpoint = artifact(world, RefKind.CHECKPOINT, "c", 2, dataset=(dataset,))
    served = world.stable(1)
    trained_on(world, checkpoint)
    assert "older deliveries" not in call("status", NAME)
    heads.record(interval(2), artifact(world, RefKind.PARTITION, "p2-again", 2), at=world.clock.now())
    assert f"{served} rests on older deliveries of 2011-01-02 (recflow data history {NAME})" in call("status", NAME)
    world.store.delete(f"{NAME}/datasets/d/manifests/{dataset.digest}.json")
    assert f"what {served} was trained on cannot be read: " in call("status", NAME)


def artifact(world, kind, key, number, **inputs):
    """A published artifact of a day without files."""
    manifest = Manifest(
        kind=kind, recipe=NAME, stage="fixture", stage_version=1, key=key, attempt="a", interval=interval(number),
        inputs=inputs, files=(), numbers={}, reusable=True, created_at=world.clock.now(),
    )  # fmt: skip
    return world.artifacts.publish(manifest, world.folder)


def trained_on(world, checkpoint):
    """From now on the ledger's head says that stable was made of this checkpoint."""
    head = world.true_ledger.head(NAME)
    stable = head.state.stable.model_copy(update={"checkpoint": checkpoint})
    state = head.state.model_copy(update={"stable": stable})
    world.ledger = SimpleNamespace(head=lambda _: head.model_copy(update={"state": state}), entries=lambda _: [])


def test_advance_says_what_it_did_and_when_it_is_due_again(world, call):
    world.record(1)
    assert "packaged" in call("advance", NAME)
    assert "due again" in call("status", NAME) + call("advance", NAME)


def test_hold_resume_and_rollback_show_the_release(world, call):
    world.stable(1)
    world.record(2)
    world.play(at(S.CANARY))
    assert "in held" in call("hold", NAME, "--reason", "a strange graph", "--by", "ada")
    assert "in canary step 0" in call("resume", NAME)
    assert "in rolling_back" in call("rollback", NAME)


def test_status_while_judging_shows_the_experiment(world, call):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    assert "no user's outcome window has closed yet" in call("status", NAME)


def test_an_aa_is_started_and_what_it_found_is_shown_until_the_next_release(world, call):
    version = world.stable(1)
    assert f"aa-{world.state.seq + 1}-{version} in judging" in call("aa", NAME, "--users", 4000, "--by", "ada")
    found = Finding(rule="sample_ratio", verdict=Verdict.PASS, reason="the arms are of one size: p = 0.4")
    world.judge = lambda *_: Decision(gate="aa", verdict=Verdict.PASS, reasons=("4,000 users",), findings=(found,))
    world.play()
    for shown in (call("status", NAME), call("history", NAME)):
        assert "4,000 users" in shown
        assert "PASS: the arms are of one size: p = 0.4" in shown
    world.stable(2)
    assert "4,000 users" not in call("status", NAME)


@pytest.mark.parametrize(
    ("option", "value"), [("--users", "3"), ("--hours", "0"), ("--hours", "9000"), ("--hours", "inf")]
)
def test_an_aa_of_nobody_of_no_time_or_without_end_is_refused(world, call, option, value):
    world.stable(1)
    with pytest.raises(AssertionError, match="Invalid value"):
        call("aa", NAME, option, value)


def test_history_is_oldest_first_with_person_and_reason(world, call):
    world.stable(1)
    call("freeze", NAME, "--reason", "sale", "--by", "ada")
    lines = call("history", NAME).splitlines()
    assert "candidate_recorded" in lines[0]
    assert lines[-1].endswith("frozen: sale")
    assert "ada" in lines[-1]
    assert "frozen" not in call("unfreeze", NAME)


def test_history_tells_what_the_offline_gate_refused_and_where_its_report_is(world, call):
    decision = world.decision(1, Verdict.FAIL)
    record_candidate(
        world.recipe,
        interval(1),
        package=world.package(1),
        checkpoint=None,
        decision=decision,
        ledger=world.ledger,
        artifacts=world.artifacts,
    )
    told = call("history", NAME).splitlines()
    assert "candidate_refused 20110101-" in told[0]
    assert told[0].endswith("the offline gate says FAIL: as scripted")
    assert told[1].strip() == f"report: {decision.uri}"


def test_status_names_what_a_change_has_changed(world, call):
    world.stable(1)
    other = world.recipe.model_copy(update={"training": TrainingSection(epochs=5)})
    world.record(2, world.package(2, other))
    world.play(at(ReleaseState.SHADOW))
    assert "  changed: training.epochs: 2 → 5" in call("status", NAME).splitlines()


def refuse_change(world, day):
    other = world.recipe.model_copy(update={"training": TrainingSection(epochs=5)})
    record_candidate(
        world.recipe,
        interval(day),
        package=world.package(day, other),
        checkpoint=None,
        decision=world.decision(day, Verdict.FAIL),
        ledger=world.ledger,
        artifacts=world.artifacts,
    )


def test_status_and_history_name_a_refused_change_and_what_a_person_said_of_it(world, call):
    world.stable(1)
    refuse_change(world, 2)
    assert "         changed: training.epochs: 2 → 5" in call("history", NAME).splitlines()
    told = call("status", NAME).splitlines()
    assert "  a change was refused for 2011-01-02: the offline gate says FAIL: as scripted" in told
    assert "    training.epochs: 2 → 5" in told
    assert "    accepted by ada: half the cost" in call("accept", NAME, "--reason", "half the cost", "--by", "ada")
    assert "    given up by eve: no use" in call("give-up", NAME, "--reason", "no use", "--by", "eve")
    [accepted, given_up] = call("history", NAME).splitlines()[-2:]
    assert accepted.endswith("change_accepted: accepted by ada: half the cost")
    assert given_up.endswith("change_given_up: given up by eve: no use")


def test_status_says_why_a_line_stands_still(world, call):
    world.stable(1)
    base = world.folder / "small"
    base.mkdir()
    (base / "config.json").write_text("{}")
    world.recipe = world.recipe.model_copy(update={"training": TrainingSection(base_model="small")})
    made_with = made_with_now(WorldServices(world), world.recipe)
    for night in ("2011-01-02", "2011-01-03"):
        candidate = as_candidate(world.state.stable).model_copy(
            update={"made_with": made_with, "interval_label": night}
        )
        event = LedgerEvent(kind=EventKind.CANDIDATE_REFUSED, candidate=candidate, changes=("training.epochs: 2 → 5",))
        world.true_ledger.append(NAME, event, after=world.true_ledger.head(NAME))
    told = "  the line stands still: a change was refused on 2 nights: training.epochs: 2 → 5. Last: no reason told"
    assert told in call("status", NAME).splitlines()


@pytest.mark.parametrize("command", ["accept", "give-up"])
def test_a_word_on_a_change_needs_a_reason(world, call, command):
    with pytest.raises(AssertionError, match="Missing option"):
        call(command, NAME)


@pytest.mark.parametrize("command", ["accept", "give-up", "approve", "abort", "rollback", "hold", "resume", "freeze"])
def test_a_reason_of_a_hundred_thousand_characters_is_refused_where_it_is_typed(world, call, command):
    world.stable(1)
    before = world.state
    with pytest.raises(ReleaseRefused, match="at most 1,000 characters, seen 100,000"):
        call(command, NAME, "--reason", "x" * 100_000)
    assert world.state == before


def in_shadow(world, taus):
    world.stable(1)
    world.record(2)
    world.play(at(S.SHADOW))
    world.compare(taus)
    world.clock.tick(1)


def test_status_tells_how_far_a_candidate_in_shadow_agrees_so_far(world, call):
    in_shadow(world, [0.9] * 3)
    assert "  shadow: too little to compare: of 3 answers 3 can tell two versions apart" in call("status", NAME)
    world.compare([0.9] * 20)
    world.clock.tick(1)
    assert "  shadow: tau is 0.90 over 23 requests (limit 0.30)" in call("status", NAME)


def test_a_person_sees_the_requests_that_differ_most_accepts_them_and_erases_them(world, call):
    in_shadow(world, [-1.0] * 40)
    world.play(at(S.HELD))
    seen = call("differences", NAME).splitlines()
    assert "orders otherwise than stable: tau is -1.00 over 40 requests" in seen[0]
    assert seen[1:5] == [
        '"shoes 0"  tau -1.00, scores differ by 0.800',
        "   stable  candidate  item",
        "        1          2  a (0.900, 0.100)",
        "        2          1  b (0.100, 0.900)",
    ]
    assert len(seen) == 1 + 10 * 4
    call("resume", NAME, "--reason", "the words of the season are new", "--by", "ada")
    history = call("history", NAME)
    assert "FAIL: tau is -1.00 over 40 requests in lists of 6 to 10 items (limit 0.30)" in history
    assert "ada accepts the differences: the words of the season are new" in history
    assert "are erased" in call("differences", NAME, "--erase")
    assert call("differences", NAME).splitlines()[1:] == ["  the requests were erased"]


def test_a_user_is_forgotten_and_what_is_too_young_for_it_is_told_with_a_code_that_says_again(world, call):
    in_shadow(world, [-1.0] * 40)
    world.play(at(S.HELD))
    world.events.erase_comparisons = lambda *_: 3
    result = CliRunner().invoke(cli.app, ["differences", NAME, "--erase-user", "user-9"])
    assert (result.exit_code, "3 comparisons stand where a gateway still writes" in result.output) == (75, True)
    del world.events.erase_comparisons
    assert "forgotten" in call("differences", NAME, "--erase-user", "user-1", "--erase-user", "anonymous:7")
    assert call("differences", NAME).splitlines()[1:] == ["  the requests were erased"]
    assert {record.user_key for record in world.events.records} == {""}


def test_approve_without_a_waiting_release_is_refused_in_the_agreed_order(world, call):
    with pytest.raises(ReleaseRefused, match="nothing can be approved") as refused:
        call("approve", NAME)
    assert refused.value.message.endswith("docs/runbooks/release-refused.md")


def test_abort_ends_a_release_that_no_shopper_met(world, call):
    world.record(1)
    world.advance()
    call("abort", NAME)
    assert world.state.last_state is S.ABORTED


def test_a_package_is_adopted_from_json_or_from_a_file(world, call, tmp_path):
    package = world.package(1)
    file = tmp_path / "ref.json"
    file.write_text(package.model_dump_json())
    assert "stable 20110101-" in call("adopt", NAME, file)
    assert "stable 20110101-" in call("adopt", NAME, package.model_dump_json())


def test_a_reference_that_is_none_is_refused(call):
    with pytest.raises(BadConfiguration, match="cannot be read"):
        call("adopt", NAME, "{}")


def test_watch_compacts_the_event_log_and_goes_on_when_the_disk_refuses(world, call):
    def refuse():
        called.append("compact")
        raise StoreFull("no space")

    called, world.metrics.events.compact = [], refuse
    assert json.loads(call("watch", NAME))["incidents"] == []
    assert called == ["compact"]


@pytest.mark.parametrize("command", ["status", "history"])
def test_a_recipe_that_nobody_knows_is_refused(tmp_path, monkeypatch, capsys, command):
    (tmp_path / f"{NAME}.yaml").write_text(f"name: {NAME}\nowner: search\n")
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
    assert run(["release", command, NAME]) == 0
    assert run(["release", command, "shop_serach"]) == BadConfiguration.exit_code
    assert f"did you mean {NAME}?" in capsys.readouterr().err


def test_watch_rolls_a_sick_candidate_back_and_prints_what_it_saw(world, call):
    world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.metrics.newest = world.clock.now()
    world.true_server.scores[version] = lambda _, items: [0.0] * len(items)
    shown = json.loads(call("watch", NAME))
    assert shown["incidents"][0]["roll_back"] == version
    assert world.state.release.state is S.ROLLING_BACK
