"""Shoppers who never stop: they search, look at every answer's status, and click what is on top half of the time."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import httpx

ITEMS = [{"id": f"i{number}", "title": f"red shoe {number}", "description": "for running"} for number in range(4)]


@dataclass
class Shoppers:
    """A thread of shoppers; what they were answered is counted."""

    url: str
    statuses: Counter[int | str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._shop, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _shop(self) -> None:
        with httpx.Client(base_url=self.url, timeout=10, headers={"user-agent": "Mozilla/5.0"}) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                self._search(client, f"u{number % 300}", click=number % 2 == 0)
                time.sleep(0.03)

    def _search(self, client: httpx.Client, user: str, *, click: bool) -> None:
        try:
            answer = rank(client, user)
        except httpx.HTTPError as error:
            self.statuses[type(error).__name__] += 1
            return
        self.statuses[answer.status_code] += 1
        if answer.is_success:
            told = answer.json()
            self.fallbacks[told["fallback"]] += 1
            self.versions[told["version"]] += 1
            if click:
                outcome = {"user_id": user, "request_id": told["request_id"], "kind": "click"}
                client.post("/v1/outcomes", json=outcome | {"item_id": told["items"][0]["id"]})


def rank(client: httpx.Client, user: str) -> httpx.Response:
    """One search."""
    return client.post("/v1/search_relevance/rank", json={"user_id": user, "query": "red shoe", "items": ITEMS})
