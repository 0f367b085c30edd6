"""Simulated shoppers with a wish each, who ask a gateway what to turn to next and click what their wish makes good.

`python -m demo.recommend.shoppers GATEWAY LINE USERS` until it is ended. Clicks follow the click model of `recflow
replay`, over the generated shop's true grades.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx

from demo.recommend.shop import SEED
from recflow.data.sample.behaviour import ETA
from recflow.data.sample.catalogue import make_goods, make_wishes, true_grade
from recflow.gateway.click_model import acts, attraction

AGENT = "Mozilla/5.0 (simulated shopper)"  # with a program's agent they would be left out of experiments
SHOPPERS_AT_ONCE = 4
SHORTEST, LONGEST = 2, 4
VALUE = 20.0


@dataclass(frozen=True)
class Visit:
    """One question of one shopper, with the grades that the shopper gives to items and the luck of the clicks."""

    user: str
    history: tuple[str, ...]
    grades: Mapping[str, int]
    luck: int


def visits(users: int, seed: int = SEED) -> Iterator[Visit]:
    """Shoppers in rounds, each with the same wish every time, of what the shop had on its first day."""
    goods = [good for good in make_goods(seed) if good.since == 0]
    wishes = [wish for wish in make_wishes(seed) if wish.since == 0]
    grades = [{good.item_id: true_grade(wish, good) for good in goods} for wish in wishes]
    chance = Random(f"visits-{seed}")
    while True:
        for number in chance.sample(range(users), users):
            wished = grades[number % len(grades)]
            yield Visit(f"shopper-{number}", _liked(wished, chance), wished, chance.getrandbits(64))


def _liked(grades: Mapping[str, int], chance: Random) -> tuple[str, ...]:
    """A few items that the shopper turned to before: of those that the wish makes good, the better the likelier."""
    good = [item for item, grade in grades.items() if grade > 0]
    found = chance.choices(good, [attraction(grades[item]) for item in good], k=chance.randint(SHORTEST, LONGEST))
    return tuple(dict.fromkeys(found))


async def shop(url: str, line: str, users: int) -> None:
    """Ask and click, some shoppers at once, until cancelled."""
    coming = visits(users)

    async def shopper(client: httpx.AsyncClient) -> None:
        for visit in coming:
            await _ask(client, line, visit)

    async with httpx.AsyncClient(base_url=url, headers={"User-Agent": AGENT}, timeout=10) as client:
        await asyncio.gather(*(shopper(client) for _ in range(SHOPPERS_AT_ONCE)))


async def _ask(client: httpx.AsyncClient, line: str, visit: Visit) -> None:
    told = await _post(client, f"/v1/{line}/recommend", {"user_id": visit.user, "history": visit.history})
    for item in told["items"] if told else ():
        # Each item's luck is its own: it does not depend on the place that it was given.
        luck = Random(f"{visit.luck}-{item['id']}")
        for kind in acts(luck, visit.grades.get(item["id"], 0), item["position"], ETA):
            act = {"request_id": told["request_id"], "user_id": visit.user, "kind": kind, "item_id": item["id"]}
            await _post(client, "/v1/outcomes", act | ({"value": VALUE} if kind == "purchase" else {}))


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    """The answer, None where there was none: a shopper whom nobody answers goes on."""
    try:
        return (await client.post(path, json=body)).raise_for_status().json()
    except httpx.HTTPError:
        await asyncio.sleep(0.1)
        return None


if __name__ == "__main__":
    gateway, recipe, number = sys.argv[1:]
    asyncio.run(shop(gateway, recipe, int(number)))
