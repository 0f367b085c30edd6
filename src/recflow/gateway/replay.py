"""Replay: judged queries sent through a running gateway by returning users whose clicks are simulated.

Users, queries, items and every user's luck follow from the seed; which arm a user is in is the gateway's business.
"""

import asyncio
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recflow.config.sections.outcomes import OutcomeKind, OutcomesSection
from recflow.errors import BadConfiguration, BadData
from recflow.gateway.click_model import CART, CLICK, PURCHASE, acts

# Simulated shoppers stand for people: with a program's agent they would be left out of experiments.
_AGENT = "Mozilla/5.0 (simulated shopper)"
TITLE = "simulated clicks on real judgements"
_COLUMNS = ["query", "item_id", "title", "description", "grade"]


@dataclass(frozen=True)
class JudgedItem:
    """An item with its grade, 0 … 3, for one query."""

    item_id: str
    title: str
    description: str
    grade: float


@dataclass(frozen=True)
class JudgedSearch:
    """A query with all its judged items."""

    query: str
    items: tuple[JudgedItem, ...]


@dataclass(frozen=True)
class ReplayPlan:
    """Who searches what for how long. It ends after `seconds` or `requests`, whichever comes first.

    Of the clicks, carts and purchases of the click model those are posted that `outcomes` names.
    """

    recipe: str
    url: str
    users: int
    seconds: float
    seed: int = 7
    requests: int | None = None
    concurrency: int = 4
    items: int = 20
    eta: float = 1.0
    token: str = ""
    outcomes: OutcomesSection = field(default_factory=OutcomesSection)

    @property
    def kinds(self) -> dict[str, OutcomeKind]:
        """The kinds of acts that are posted, by name; BadConfiguration when the line names none of them."""
        found = {name: kind for name in (CLICK, CART, PURCHASE) if (kind := self.outcomes.kind(name))}
        if not found:
            named = ", ".join(kind.name for kind in self.outcomes.kinds)
            raise BadConfiguration(
                f"{self.recipe} cannot be replayed: simulated shoppers only click, put into the cart and purchase",
                expected=f"one of {CLICK}, {CART}, {PURCHASE} among the recipe's outcomes", seen=named,
            )  # fmt: skip
        return found


@dataclass(frozen=True)
class Visit:
    """One search of one user, with the luck that decides the clicks."""

    user: str
    search: JudgedSearch
    luck: int


@dataclass
class ArmNumbers:
    """What one arm's users did: by user, the answered requests and the items acted on."""

    by_user: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    @property
    def users(self) -> int:
        """Users with an answer."""
        return len(self.by_user)

    @property
    def requests(self) -> int:
        """Answered requests."""
        return sum(requests for requests, _ in self.by_user.values())

    @property
    def ctr(self) -> float:
        """Items acted on a request; where the line names clicks, clicked ones."""
        return sum(clicks for _, clicks in self.by_user.values()) / max(1, self.requests)

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of the click-through rate, by users (delta method for a ratio of means)."""
        residuals = sum((clicks - self.ctr * requests) ** 2 for requests, clicks in self.by_user.values())
        return 1.96 * math.sqrt(residuals) / max(1, self.requests)


@dataclass
class ReplayReport:
    """Simulated clicks on real judgements, by arm, and how the requests themselves fared."""

    arms: dict[str, ArmNumbers] = field(default_factory=lambda: defaultdict(ArmNumbers))
    outcomes: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """The report for a screen."""
        answered = sum(arm.requests for arm in self.arms.values())
        acted = ", ".join(f"{count} {kind}" for kind, count in sorted(self.outcomes.items())) or "none"
        told = [f"{TITLE}: {answered} requests answered; outcomes: {acted}"]
        told += [f"  {'arm':<10} {'users':>6} {'requests':>9}  clicks per request (95 % interval)"]
        for name, arm in sorted(self.arms.items()):
            told += [f"  {name:<10} {arm.users:>6} {arm.requests:>9}  {arm.ctr:.3f} ± {arm.half_width:.3f}"]
        told += [f"  answered by fallback, {name}: {count}" for name, count in sorted(self.fallbacks.items())]
        told += [f"  not answered, {code}: {count}" for code, count in sorted(self.failures.items())]
        return told


def read_judged(folder: Path) -> list[JudgedSearch]:
    """The judged queries with at least two items of a data set's test split, or of a partition."""
    rows = _rows(folder)
    missing = set(_COLUMNS) - set(rows.column_names)
    if missing:
        raise BadData(f"{folder} has no judged rows", expected=", ".join(_COLUMNS), seen=f"no {', '.join(missing)}")
    found: dict[str, dict[str, JudgedItem]] = defaultdict(dict)
    for row in rows.select(_COLUMNS).to_pylist():
        item = JudgedItem(row["item_id"], row["title"] or "", row["description"] or "", row["grade"])
        found[row["query"]].setdefault(item.item_id, item)
    searches = [JudgedSearch(query, tuple(items.values())) for query, items in found.items() if len(items) > 1]
    if not searches:
        raise BadData(f"{folder} cannot be replayed", expected="a judged query with two items", seen="none")
    return searches


def _rows(folder: Path) -> pa.Table:
    partition = folder / "rows.parquet"
    if partition.exists():
        rows = pq.read_table(partition)
        return rows.filter(pc.and_(pc.equal(rows["kind"], "judgement"), pc.is_valid(rows["grade"])))
    files = sorted((folder / "test").glob("*.arrow"))
    if not files:
        raise BadData(f"{folder} cannot be replayed", expected="test/*.arrow or rows.parquet", seen="neither")
    return pa.concat_tables([pa.ipc.open_stream(file).read_all() for file in files])


def visits(plan: ReplayPlan, searches: Sequence[JudgedSearch]) -> Iterator[Visit]:
    """Users in rounds, each round in a new order, so that all of them come back; each with a random judged query."""
    chance = random.Random(plan.seed)
    users = [f"replay-{plan.seed}-{number}" for number in range(plan.users)]
    while True:
        for user in chance.sample(users, len(users)):
            search = chance.choice(searches)
            items = chance.sample(search.items, min(plan.items, len(search.items)))
            yield Visit(user, JudgedSearch(search.query, tuple(items)), chance.getrandbits(64))


async def replay(
    plan: ReplayPlan,
    searches: Sequence[JudgedSearch],
    *,
    stop: asyncio.Event | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> ReplayReport:
    """Send visits, `concurrency` at a time, until the plan's end or until `stop` is set."""
    report, coming, kinds = ReplayReport(), visits(plan, searches), plan.kinds
    numbers = iter(range(plan.requests) if plan.requests is not None else iter(int, 1))
    end = asyncio.get_running_loop().time() + plan.seconds
    headers = {"User-Agent": _AGENT} | ({"Authorization": f"Bearer {plan.token}"} if plan.token else {})

    async def shopper(client: httpx.AsyncClient) -> None:
        while asyncio.get_running_loop().time() < end and not (stop and stop.is_set()):
            if next(numbers, None) is None:
                return
            await _visit(client, plan, next(coming), report, kinds)

    async with httpx.AsyncClient(base_url=plan.url, headers=headers, timeout=10, transport=transport) as client:
        await asyncio.gather(*(shopper(client) for _ in range(plan.concurrency)))
    return report


async def _visit(
    client: httpx.AsyncClient, plan: ReplayPlan, visit: Visit, report: ReplayReport, kinds: Mapping[str, OutcomeKind]
) -> None:
    items = [{"id": item.item_id, "title": item.title, "description": item.description} for item in visit.search.items]
    body = {"user_id": visit.user, "query": visit.search.query, "items": items}
    told = await _post(client, f"/v1/{plan.recipe}/rank", body, report)
    if told is None:
        return
    if told["fallback"]:
        report.fallbacks[told["fallback"]] += 1
    grades = {item.item_id: item.grade for item in visit.search.items}
    numbers = report.arms[told["arm"]].by_user[visit.user]
    numbers[0] += 1
    for shown in told["items"]:
        # Each item's luck is its own: it does not depend on the order that the gateway chose.
        luck = random.Random(f"{visit.luck}-{shown['id']}")
        done = [name for name in acts(luck, grades[shown["id"]], shown["position"], plan.eta) if name in kinds]
        numbers[1] += bool(done)
        for kind in done:
            value = round(min(luck.uniform(5, 100), kinds[kind].max_value), 2) if kinds[kind].max_value else 0.0
            act = {"request_id": told["request_id"], "user_id": visit.user, "kind": kind, "item_id": shown["id"]}
            if await _post(client, "/v1/outcomes", act | {"value": value}, report):
                report.outcomes[kind] += 1


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any], report: ReplayReport) -> Any:
    try:
        response = await client.post(path, json=body)
    except httpx.HTTPError as error:
        report.failures[type(error).__name__] += 1
        await asyncio.sleep(0.1)
        return None
    if response.is_success:
        return response.json()
    code = "no code"
    if response.headers.get("content-type", "").startswith("application/json"):
        code = response.json().get("code", code)
    report.failures[f"{response.status_code} {code}"] += 1
    await asyncio.sleep(float(response.headers.get("retry-after", 0)))
    return None
