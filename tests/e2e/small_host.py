"""The smallest whole installation: a shop of five days, one recipe, and a stack on free ports."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from host.stack import Ports, Stack
from recflow.config.settings import Settings
from recflow.data.sample.shop import SampleShop, write_shop
from recflow.wiring import Services

HERE = Path(__file__).parent
RECIPE, SECOND = "search_relevance", "recommendation"
RETRAIN, RELEASE = f"{RECIPE}__retrain", f"{RECIPE}__release"
GARBAGE = f"{RECIPE}/models/{'0' * 64}/lost-attempt/model.onnx"


@dataclass(frozen=True)
class Days:
    """Days of a test run: three past ones, the one that the schedule runs by itself, and the next."""

    tick: datetime

    @classmethod
    def now(cls) -> "Days":
        """The newest scheduled interval ended six hours ago: no other begins while the tests run."""
        return cls((datetime.now(UTC) - timedelta(hours=6)).replace(minute=0, second=0, microsecond=0))

    @property
    def scheduled(self) -> date:
        """The day that the newest scheduled run is about."""
        return self.tick.date() - timedelta(days=1)

    @property
    def past(self) -> list[date]:
        """The three days before, oldest first."""
        return [self.scheduled - timedelta(days=back) for back in (3, 2, 1)]

    @property
    def following(self) -> date:
        """The day after the scheduled one, run by hand."""
        return self.scheduled + timedelta(days=1)


def open_shop(home: Path, days: Days) -> Stack:
    """Write the events, the recipe and a piece of garbage below `home`; a stack that has not been started."""
    shop = SampleShop(days=5, seed=11, rows=1000, queries=24, users=300, first_day=days.past[0], faults=False)
    write_shop(shop, home / "shop")
    (home / "recipes").mkdir()
    write_recipe(RECIPE, home / "recipes", days, days.past[0])
    stack = Stack(home / "home", recipes=home / "recipes", source_root=home, ports=Ports.free())
    services_of(stack).store.put(GARBAGE, b"half a model")
    return stack


def write_recipe(name: str, folder: Path, days: Days, first_day: date) -> None:
    """Write a line's recipe from its template; it is scheduled for the hour of the days' tick."""
    recipe = (HERE / f"{name}.yaml").read_text(encoding="utf-8").format(hour=days.tick.hour, first_day=first_day)
    (folder / f"{name}.yaml").write_text(recipe, encoding="utf-8")


def restart_gateway(stack: Stack) -> None:
    """What a person does after a line was added: a gateway serves the recipes that it found when it started."""
    stack.processes.stop("gateway")
    stack.start_command("gateway", ["gateway", "up"], f"{stack.gateway_url}/healthz")


def services_of(stack: Stack) -> Services:
    """The clients that look at what the stack's processes write."""
    fields = {name.removeprefix("RECFLOW_").lower(): value for name, value in stack.environment().items()}
    return Services(Settings(**fields))
