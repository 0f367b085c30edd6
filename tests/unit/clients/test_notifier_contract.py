import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_notifier import FakeNotifier
from recflow.clients.notifier import FileNotifier, Notifiers, WebhookNotifier, build_notifier
from recflow.protocols import Card

CARD = Card("Search p95 is high", shoppers_affected=True, cause="p95 312 ms", command="recflow release", runbook="slow")


@pytest.fixture
def hook():
    """An HTTP server that keeps what it is sent, or never answers while `hangs` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            server.hangs.wait()
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.hangs, server.status = [], threading.Event(), 200
    server.hangs.set()
    server.url = f"http://127.0.0.1:{server.server_port}/secret-path"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.hangs.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["fake", "file", "webhook", "both"])
def notifier(request, tmp_path, hook):
    """A notifier and the way to see what it delivered."""
    path = tmp_path / "logs" / "alerts.jsonl"

    def lines():
        return [json.loads(line)["title"] for line in path.read_text().splitlines()]

    def posts():
        return [body["title"] for body in hook.received]

    if request.param == "fake":
        fake = FakeNotifier()
        return fake, lambda: [card.title for card in fake.cards]
    if request.param == "file":
        return FileNotifier(path, FakeClock()), lines
    if request.param == "webhook":
        return WebhookNotifier(hook.url), posts
    return build_notifier(path, hook.url, FakeClock()), lambda: [a for a, b in zip(lines(), posts(), strict=True)]


def test_every_card_is_delivered_in_order(notifier):
    deliver, seen = notifier
    deliver.notify(CARD)
    deliver.notify(Card("二つ目", shoppers_affected=False, cause="", command="", runbook=""))
    assert seen() == [CARD.title, "二つ目"]


def test_the_whole_card_and_the_time_are_written(tmp_path):
    FileNotifier(tmp_path / "a", FakeClock()).notify(CARD)
    assert json.loads((tmp_path / "a").read_text()) == {
        "at": "2011-01-05T02:00:00+00:00",
        "title": "Search p95 is high",
        "shoppers_affected": True,
        "cause": "p95 312 ms",
        "command": "recflow release",
        "runbook": "slow",
    }


def test_a_file_that_cannot_be_written_fails_nobody(tmp_path, caplog):
    FileNotifier(tmp_path, FakeClock()).notify(CARD)
    assert "not written" in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secret-path", "secret-path", "nonsense://secret-path"])
def test_a_webhook_that_is_not_there_fails_nobody_and_is_not_named(url, caplog):
    WebhookNotifier(url).notify(CARD)
    assert "not delivered" in caplog.text
    assert "secret-path" not in caplog.text


def test_a_webhook_that_never_answers_is_given_up(hook, caplog):
    hook.hangs.clear()
    WebhookNotifier(hook.url, timeout_s=0.2).notify(CARD)
    assert "not delivered" in caplog.text


def test_a_webhook_that_refuses_is_logged(hook, caplog):
    hook.status = 500
    WebhookNotifier(hook.url).notify(CARD)
    assert "not delivered" in caplog.text


def test_one_broken_notifier_does_not_silence_the_next(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    second = FakeNotifier()
    Notifiers(FileNotifier(tmp_path, FakeClock()), second).notify(CARD)
    assert second.cards == [CARD]
