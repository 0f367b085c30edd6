"""Telling a person: a file on this host, and a webhook."""

import json
import logging
import threading
import urllib.request
from dataclasses import asdict
from pathlib import Path

from recflow.clients.clock import SystemClock
from recflow.protocols import Card, Clock, Notifier

_log = logging.getLogger(__name__)


class FileNotifier:
    """Appends each card as one line of JSON."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock

    def notify(self, card: Card) -> None:
        """Append the card with the time."""
        line = json.dumps({"at": self._clock.now().isoformat(), **asdict(card)}, ensure_ascii=False)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError:
            _log.exception("card %r was not written to %s", card.title, self._path)


class WebhookNotifier:
    """Posts each card as JSON; gives up after `timeout_s`, whatever the other side does."""

    def __init__(self, url: str, timeout_s: float = 3.0) -> None:
        self._url, self._timeout_s = url, timeout_s

    def notify(self, card: Card) -> None:
        """Post the card. The URL may hold a secret, so it is not logged."""
        # Socket time-outs bound each read and not their sum, and none bounds a name look-up: hence the thread.
        sender = threading.Thread(target=self._post, args=(card,), daemon=True)
        sender.start()
        sender.join(self._timeout_s)
        if sender.is_alive():
            _log.error("card %r was not delivered to the webhook within %s s", card.title, self._timeout_s)

    def _post(self, card: Card) -> None:
        try:
            request = urllib.request.Request(  # noqa: S310 - the address is the owner's own setting
                self._url, json.dumps(asdict(card)).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=self._timeout_s):  # noqa: S310 - as above
                pass
        except (OSError, ValueError) as error:
            _log.error("card %r was not delivered to the webhook: %s", card.title, type(error).__name__)


class Notifiers:
    """Delivers each card to all of several notifiers."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    def notify(self, card: Card) -> None:
        """Deliver to each in turn."""
        for notifier in self._notifiers:
            notifier.notify(card)


def build_notifier(path: Path, webhook: str, clock: Clock | None = None) -> Notifier:
    """A notifier to the file, and to the webhook as well when its address is not empty."""
    file = FileNotifier(path, clock or SystemClock())
    return Notifiers(file, WebhookNotifier(webhook)) if webhook else file
