from datetime import UTC, datetime, timedelta

from recflow.gateway.limiting import Limiter

NOON = datetime(2011, 1, 5, 12, tzinfo=UTC)


def acted(limiter, key, times, at=NOON):
    for _ in range(times):
        limiter.count((key,), at)
    return limiter


def test_a_key_waits_until_a_minute_has_passed_since_its_first_act():
    limiter = acted(Limiter(timedelta(minutes=1)), "u-1", 3)
    later = NOON + timedelta(seconds=45)
    assert limiter.wait_s(("u-1",), 4, later) == 0
    assert limiter.wait_s(("u-1",), 3, later) == 15
    assert limiter.wait_s(("u-2",), 3, later) == 0
    assert limiter.wait_s(("u-1",), 3, NOON + timedelta(seconds=59.9)) == 1
    assert limiter.wait_s(("u-1",), 3, NOON + timedelta(seconds=60)) == 0


def test_a_clock_that_was_set_back_starts_anew():
    limiter = acted(Limiter(timedelta(minutes=1)), "u-1", 3)
    assert limiter.wait_s(("u-1",), 3, NOON - timedelta(hours=1)) == 0


def test_a_hundred_thousand_users_take_no_more_memory_than_its_capacity():
    limiter = Limiter(timedelta(minutes=1), capacity=100)
    for number in range(100_000):
        limiter.count((f"u-{number}",), NOON)
    assert len(limiter) == 100


def test_who_keeps_acting_is_not_forgotten_among_many_others():
    limiter = Limiter(timedelta(minutes=1), capacity=100)
    for number in range(10_000):
        limiter.count((f"u-{number}",), NOON)
        if number % 50 == 0:
            limiter.count(("program",), NOON)
    assert limiter.wait_s(("program",), 200, NOON) > 0
