"""`recflow gateway`: the serving front. `recflow replay`: simulated shoppers for it."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from recflow.artifacts.refs import Ref
from recflow.config.sections.data import LabelSection
from recflow.config.settings import read_settings
from recflow.config.tasks import section_as
from recflow.wiring import Services, build_services
from recflow.wiring.gateway import build_gateway, gateway_address, gateway_recipes, read_keys, read_tokens

app = typer.Typer(help="Serve: route shoppers' requests to versions.", no_args_is_help=True)
# Longer than load balancers keep idle connections (60 s is common): who closes first must not be the server, or a
# request that is on its way meets a closed connection. uvicorn's own five seconds are far below.
KEEP_ALIVE_S = 75
_DRAIN_S = 10


def application() -> Any:
    """The ASGI application of one worker process; uvicorn calls it in each."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return build_gateway(build_services())


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, help="Processes; they share nothing but the event folder.")] = 1,
) -> None:
    """Serve at RECFLOW_GATEWAY_URL until SIGTERM or Ctrl-C; what was accepted is answered first."""
    import uvicorn

    settings = read_settings()
    host, port = gateway_address(settings)
    # Found out here, once: a worker that cannot start would be started again for ever.
    read_tokens(settings.gateway_token_file)
    keys = read_keys(settings.gateway_keys_file)
    names = ", ".join(recipe.name for recipe in gateway_recipes(settings)) or "no line"
    print(f"gateway at {settings.gateway_url} for {names}; its interface at {settings.gateway_url}/docs")
    print(f"{keys.told}; keys and tokens are read at start only")
    uvicorn.run(
        "recflow.cli.gateway:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - one parameter an option
    recipe: Annotated[str, typer.Option(help="Recipe whose route is asked.")],
    dataset: Annotated[Path, typer.Option(help="Folder of a data set or partition, or a file with its reference.")],
    users: Annotated[int, typer.Option(min=1, help="Users; every one comes back.")] = 1000,
    seconds: Annotated[float, typer.Option(min=0, help="How long.")] = 60,
    seed: Annotated[int, typer.Option(help="Users, queries, items and luck follow from it.")] = 7,
    requests: Annotated[int | None, typer.Option(min=1, help="End after this many searches.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Searches at once.")] = 4,
    items: Annotated[int, typer.Option(min=2, max=200, help="Items a search, at most.")] = 20,
    url: Annotated[str, typer.Option(help="Gateway; empty: RECFLOW_GATEWAY_URL.")] = "",
) -> None:
    """Send judged queries through the gateway as simulated shoppers, and post what they do with the answers."""
    from recflow.gateway.replay import ReplayPlan, read_judged

    services = build_services()
    loaded = services.model_line(recipe)
    plan = ReplayPlan(
        recipe=loaded.name,
        url=url or services.settings.gateway_url,
        users=users,
        seconds=seconds,
        seed=seed,
        requests=requests,
        concurrency=concurrency,
        items=items,
        eta=section_as(loaded.labels, LabelSection).position_bias_eta,
        outcomes=loaded.outcomes,
        token=next(iter(read_tokens(services.settings.gateway_token_file)), ""),
    )
    searches = read_judged(_folder(services, dataset))
    for line in asyncio.run(_replay_until_signal(plan, searches)):
        print(line)


def _folder(services: Services, dataset: Path) -> Path:
    if dataset.is_file():
        return services.artifacts.fetch(Ref.model_validate_json(dataset.read_bytes()))
    return dataset


async def _replay_until_signal(plan: Any, searches: Any) -> list[str]:
    from recflow.gateway.replay import replay as run

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return (await run(plan, searches, stop=stop)).lines()
