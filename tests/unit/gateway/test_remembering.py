"""What a gateway keeps in mind of its users' acts: little, new, and nothing of who was erased."""

from datetime import timedelta

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.sample_events import RECIPE, outcome
from recflow.gateway.remembering import Memory
from recflow.tasks.base import Acted


class World:
    def __init__(self, *, acts=3, users=2):
        self.clock, self.events = FakeClock(), FakeEventLog()
        self.memory = Memory(self.events, self.clock, {RECIPE: acts, "other": 0}, users=users)
        self.made = 0

    def act(self, user, item, **changes):
        self.made += 1
        at = self.clock.now()
        told = {"user_key": user, "item_id": item, "at": at, "request_id": f"r-{self.made}", **changes}
        self.events.append("worker", [outcome(f"o-{self.made}", **told)])
        self.clock.tick(1)

    def known(self, user):
        self.memory.read(RECIPE)
        return "".join(act.item_id for act in self.memory.of(RECIPE, user))


@pytest.fixture
def world():
    return World()


def test_the_newest_acts_of_a_user_are_known_the_oldest_first_and_once(world):
    for item in "abcd":
        world.act("u", item)
    assert world.known("u") == "bcd"
    world.act("u", "e")
    assert world.known("u") == "cde"
    assert world.known("u") == "cde"


def test_of_more_users_than_it_keeps_it_knows_those_who_acted_last(world):
    for user in "abac":
        world.act(user, "x")
    assert [world.known(user) for user in "abc"] == ["xx", "", "x"]


def test_who_was_erased_from_the_log_is_forgotten_within_the_hour(world):
    world.act("u", "a")
    assert world.known("u") == "a"
    world.events.records.clear()
    assert world.known("u") == "a"
    world.clock.tick(3600)
    assert world.known("u") == ""


def test_an_act_that_is_marked_as_erased_is_no_users(world):
    world.act("", "a", erased=True)
    assert world.known("") == ""


def test_acts_beyond_its_reach_and_of_lines_that_do_not_ask_are_not_known(world):
    world.act("u", "a", at=world.clock.now() - timedelta(days=15))
    world.act("u", "b", recipe="other")
    assert world.known("u") == ""
    assert world.memory.of("other", "u") == ()


def test_an_act_is_told_with_its_time(world):
    at = world.clock.now()
    world.act("u", "a")
    world.memory.read(RECIPE)
    assert world.memory.of(RECIPE, "u") == (Acted("a", at),)
