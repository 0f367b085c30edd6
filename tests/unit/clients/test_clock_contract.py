from datetime import UTC

import pytest

from fakes.fake_clock import FakeClock
from recflow.clients.clock import SystemClock


@pytest.mark.parametrize("clock", [FakeClock(), SystemClock()], ids=["fake", "system"])
def test_a_clock_speaks_utc_and_does_not_go_back(clock):
    first = clock.now()
    assert first.tzinfo is UTC
    assert clock.now() >= first


def test_the_fake_clock_moves_only_when_it_is_turned():
    clock = FakeClock()
    first = clock.now()
    assert clock.now() == first
    assert (clock.tick(90) - first).total_seconds() == 90
