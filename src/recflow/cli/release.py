"""`recflow release`, `recflow adopt`, `recflow watch`: see how a release stands, and what a person may do about it."""

import getpass
import json
from datetime import datetime
from typing import Annotated

import typer

from recflow.artifacts.events import Comparison
from recflow.artifacts.ledger import (
    EventKind,
    LedgerEntry,
    LedgerState,
    OpenRelease,
    RefusedChange,
    ReleaseState,
)
from recflow.errors import PermanentError, TemporaryError
from recflow.wiring import (
    Services,
    adopt_package,
    advance_release,
    build_services,
    replaced_since,
    standstill_of,
    watch_recipe,
)
from recflow.wiring.packages import read_reference

app = typer.Typer(help="Advance, approve, abort, roll back and show releases.", no_args_is_help=True)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="The recipe's name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")]
RequiredReason = Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger. Not to be left out.")]
Person = Annotated[str, typer.Option("--by", help="Who; default: the user of this process.")]


@app.command()
def advance(recipe: RecipeName) -> None:
    """Do the next due step of the recipe's release."""
    done = advance_release(build_services(), recipe)
    print(f"{recipe}: {done.reason}")
    if done.wait_s is not None:
        print(f"due again in {done.wait_s:.0f} s")


@app.command()
def aa(
    recipe: RecipeName,
    users: Annotated[
        int | None, typer.Option(min=10, max=1_000_000_000, help="Of both arms; default: as the online gate plans.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.01, max=8760, help="The longest; default: as the recipe judges.")
    ] = None,
    by: Person = "",
) -> None:
    """Put the serving version into both arms of an experiment, to see how far the judge can be trusted.

    No shopper meets another version. It ends by itself; `recflow release status` shows what it has found.
    """
    from recflow.rollout import operations

    services = build_services()
    state = operations.start_aa(
        services.model_line(recipe),
        services.ledger,
        services.clock.now(),
        person=_person(by),
        users=users or 0,
        hours=hours or 0.0,
    )
    _say(recipe, state)


@app.command()
def approve(recipe: RecipeName, reason: Reason = "", by: Person = "") -> None:
    """Let the release that waits for a person go into shadow."""
    from recflow.rollout import operations

    _say(recipe, operations.approve(recipe, build_services().ledger, person=_person(by), reason=reason))


@app.command()
def abort(recipe: RecipeName, reason: Reason = "aborted by hand", by: Person = "") -> None:
    """End the open release: at once before any shopper met it, by rolling back afterwards."""
    from recflow.rollout import operations

    _say(recipe, operations.abort(recipe, build_services().ledger, person=_person(by), reason=reason))


@app.command()
def rollback(recipe: RecipeName, reason: Reason = "rolled back by hand", by: Person = "") -> None:
    """Roll back the open release; without one, return to the previous version in one step."""
    from recflow.rollout import operations

    services = build_services()
    _say(recipe, operations.rollback(services.model_line(recipe), services, person=_person(by), reason=reason))


@app.command()
def hold(recipe: RecipeName, reason: Reason = "held by hand", by: Person = "") -> None:
    """Stop a live release where it stands, traffic included."""
    from recflow.rollout import operations

    _say(recipe, operations.hold(recipe, build_services().ledger, person=_person(by), reason=reason))


@app.command()
def resume(recipe: RecipeName, reason: Reason = "", by: Person = "") -> None:
    """Let a held release go on where it was."""
    from recflow.rollout import operations

    _say(recipe, operations.resume(recipe, build_services().ledger, person=_person(by), reason=reason))


@app.command()
def freeze(recipe: RecipeName, reason: Reason = "frozen by hand", by: Person = "") -> None:
    """Stop every step forward; rollbacks go on. `all` freezes every recipe."""
    from recflow.rollout import operations

    services = build_services()
    for name in _recipes(services, recipe):
        _say(name, operations.freeze(name, services.ledger, person=_person(by), reason=reason))


@app.command()
def unfreeze(recipe: RecipeName, reason: Reason = "", by: Person = "") -> None:
    """Let releases move forward again. `all` unfreezes every recipe."""
    from recflow.rollout import operations

    services = build_services()
    for name in _recipes(services, recipe):
        _say(name, operations.unfreeze(name, services.ledger, person=_person(by), reason=reason))


@app.command()
def accept(recipe: RecipeName, reason: RequiredReason, by: Person = "") -> None:
    """Accept the change that was refused last as not worse: the next night tries it again, judged as a refresh."""
    from recflow.rollout import operations

    _say(recipe, operations.accept(recipe, build_services().ledger, person=_person(by), reason=reason))


@app.command()
def give_up(recipe: RecipeName, reason: RequiredReason, by: Person = "") -> None:
    """Try the change that was refused last no more; the line goes on once its recipe is another."""
    from recflow.rollout import operations

    _say(recipe, operations.give_up(recipe, build_services().ledger, person=_person(by), reason=reason))


@app.command()
def history(recipe: RecipeName, limit: Annotated[int, typer.Option(help="Newest entries shown.")] = 50) -> None:
    """Everything that was decided and routed, newest last."""
    from recflow.rollout import operations

    services = build_services()
    for entry in operations.history(_known(services, recipe), services.ledger, limit=limit):
        print(_line(entry))
        _print_findings(entry)


@app.command()
def status(recipe: RecipeName) -> None:
    """What serves now and why, what is on its way, and what it waits for."""
    services = build_services()
    recipe = _known(services, recipe)
    head = services.ledger.head(recipe)
    _say(recipe, head.state if head else LedgerState())
    if head:
        _say_replaced(services, recipe, head.state)
    if head and head.state.refused and (stop := standstill_of(services, services.recipe(recipe))):
        print(f"  {stop}")
    if head is None or head.state.release is None:
        _print_last_aa(services, recipe)
        return
    lagging = services.router.acknowledged(recipe, head.state.epoch).lagging
    if lagging:
        print(f"gateways still on older routes: {', '.join(lagging)}")
    if ReleaseState.SHADOW in (head.state.release.state, head.state.release.held_from) and head.state.stable:
        _print_agreement(services, recipe, head.state)
    if head.state.release.state is ReleaseState.JUDGING:
        _print_experiment(services, recipe, head.state.release, services.clock.now())


@app.command()
def differences(
    recipe: RecipeName,
    erase: Annotated[bool, typer.Option("--erase", help="Delete them; the ledger keeps the figures.")] = False,
    erase_user: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Forget a user (ID, or anonymous:ID) in all comparisons.")
    ] = None,
) -> None:
    """The requests for which shadow held a candidate that orders otherwise than stable."""
    from recflow.rollout import differences as held

    services = build_services()
    name = _known(services, recipe)
    if erase_user:
        left = held.forget_users(name, erase_user, services.events, services.ledger, services.artifacts)
        _say_forgotten(name, left)
        return
    if erase:
        entry = held.erase_differences(name, services.ledger, services.artifacts)
        print(f"{name}: the requests of {entry.event.release_id} are erased")
        return
    found = held.read_differences(name, services.ledger, services.artifacts)
    print(_line(found.entry))
    if found.requests is None:
        print("  the requests were erased")
    for request in found.requests or ():
        _print_comparison(request)


def _say_forgotten(name: str, left: int) -> None:
    if not left:
        print(f"{name}: forgotten in what shadow compared")
        return
    print(f"{name}: {left:,} comparisons stand where a gateway still writes: say it again in a quarter of an hour")
    raise typer.Exit(TemporaryError.exit_code)


@app.command()
def adopt(
    recipe: RecipeName,
    package_ref: Annotated[str, typer.Argument(help="A package's reference as JSON, or a file that holds it.")],
    by: Person = "",
) -> None:
    """Make the model that serves today the first stable."""
    services = build_services()
    _say(recipe, adopt_package(services, recipe, read_reference(package_ref), person=_person(by)))


@app.command()
def watch(recipe: RecipeName) -> None:
    """Probe what serves now; a breach rolls back."""
    print(json.dumps(watch_recipe(build_services(), recipe), indent=1, ensure_ascii=False))


def _person(by: str) -> str:
    return by or getpass.getuser()


def _known(services: Services, recipe: str) -> str:
    """The recipe's name; BadConfiguration when it has neither a ledger nor a file."""
    return recipe if services.ledger.head(recipe) else services.recipe(recipe).name


def _recipes(services: Services, recipe: str) -> list[str]:
    from recflow.config.recipe_loader import recipe_paths

    return list(recipe_paths(services.settings.recipes)) if recipe == "all" else [services.recipe(recipe).name]


def _say(recipe: str, state: LedgerState) -> None:
    stable, release = state.stable, state.release
    print(
        f"{recipe}: stable {stable.version} since {stable.since:%Y-%m-%d %H:%M:%S}"
        if stable
        else f"{recipe}: no stable yet"
    )
    if state.previous:
        print(f"  previous {state.previous.version}, one `recflow release rollback {recipe}` away")
    if release:
        step = f" step {release.step}" if release.state is ReleaseState.CANARY else ""
        print(f"  {release.release_id} in {release.state}{step} since {release.entered_at:%Y-%m-%d %H:%M:%S}")
        print(f"  why: {release.reason or 'on its way'}")
        for change in release.changes:
            print(f"  changed: {change}")
    if state.waiting:
        print(f"  waiting: {state.waiting.version}")
    if state.frozen:
        print(f"  frozen: {state.frozen}")
    if state.refused:
        _say_refused(state.refused)


def _say_replaced(services: Services, recipe: str, state: LedgerState) -> None:
    """The days of what serves, and of what is to, that were delivered or made again since its data set was built."""
    candidates = [state.release.candidate if state.release else None, state.waiting]
    models = {model.version: model.checkpoint for model in (state.stable, *candidates) if model}
    for version, checkpoint in models.items():
        try:
            heads = replaced_since(services, recipe, checkpoint) if checkpoint else []
        except PermanentError as error:
            print(f"  what {version} was trained on cannot be read: {error.what}")
            continue
        if heads:
            days = ", ".join(head.interval.label for head in heads)
            print(f"  {version} rests on older deliveries of {days} (recflow data history {recipe})")


def _say_refused(refused: RefusedChange) -> None:
    print(f"  a change was refused for {', '.join(refused.nights)}: {refused.reason}")
    for change in refused.changes:
        print(f"    {change}")
    if word := refused.accepted or refused.given_up:
        print(f"    {word}")


def _line(entry: LedgerEntry) -> str:
    event = entry.event
    version = event.candidate.version if event.candidate else event.version
    what = " ".join(part for part in (str(event.kind), str(event.to or ""), event.release_id, version) if part)
    reason = f": {event.reason}" if event.reason else ""
    return f"{entry.seq:>5}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.actor:<12} {what}{reason}"


def _print_findings(entry: LedgerEntry) -> None:
    """What was found, where the entry ends an A/A, is the offline gate's refusal, or shadow's hold for answers."""
    event = entry.event
    ends = event.to is ReleaseState.MEASURED or event.kind is EventKind.CANDIDATE_REFUSED
    if event.decision and (ends or event.differences):
        for finding in event.decision.findings:
            print(f"         {finding.verdict if finding.blocking else 'seen'}: {finding.reason}")
    for change in event.changes:
        print(f"         changed: {change}")
    if event.kind is EventKind.CANDIDATE_REFUSED and event.candidate and event.candidate.decision:
        print(f"         report: {event.candidate.decision.uri}")


def _print_last_aa(services: Services, recipe: str) -> None:
    """The newest A/A, where no later release has ended."""
    ends = (entry for entry in services.ledger.entries(recipe) if entry.event.to and entry.event.to.terminal)
    newest = next(ends, None)
    if newest and newest.event.to is ReleaseState.MEASURED:
        print(f"  {newest.event.release_id} ended {newest.at:%Y-%m-%d %H:%M:%S}: {newest.event.reason}")
        _print_findings(newest)


def _print_agreement(services: Services, recipe: str, state: LedgerState) -> None:
    """How far the candidate in shadow answers as stable does, so far."""
    from recflow.rollout.agreement import judge_agreement, read_compared

    assert state.release is not None
    compared = read_compared(services.events, recipe, state, services.clock.now())
    serving = services.task(services.model_line(recipe).task).serving
    for reason in judge_agreement(state.release.plan, compared, serving, accepted=True).reasons:
        print(f"  shadow: {reason}")


def _print_comparison(request: Comparison) -> None:
    """One request with its first items as stable showed them, and where the candidate puts each."""
    overlap = "" if request.overlap is None else f", overlap of the first ten {request.overlap:.2f}"
    print(f'"{request.query}"  tau {request.tau:.2f}{overlap}, scores differ by {request.score_difference:.3f}')
    print("   stable  candidate  item")
    for position, item in enumerate(request.items[:10], start=1):
        print(
            f"   {position:>6}  {item.shadow_position:>9}  {item.item_id} ({item.score:.3f}, {item.shadow_score:.3f})"
        )


def _print_experiment(services: Services, recipe: str, release: OpenRelease, now: datetime) -> None:
    from recflow.experiments.gate import plan_release, read_release
    from recflow.experiments.report import as_text, summarise

    contract = services.model_line(recipe)
    report = summarise(
        plan_release(services.events, contract, release), read_release(services.events, contract, release, now)
    )
    print(as_text(report) if report else "no user's outcome window has closed yet")
