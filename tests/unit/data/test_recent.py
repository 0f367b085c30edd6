"""What of a day is unlike the days before it, by profiles that are made here."""

import logging

import pytest

from fakes.deliveries import day
from recflow.config.sections.recent import RecentSection
from recflow.data.profile import Counts, Numbers, OfKind, Profile, Values
from recflow.data.recent import PastDay, judge_against, many_times, plainly_broken, report_of, warn

SECTION = RecentSection()


def numbers(size=20, rows=1_000):
    return Numbers(count=rows, mean=50, deviation=20, least=1, most=100, sizes={size: rows // 2, size + 2: rows // 2})


def of_kind(rows, described=0.5, prices=None):
    found = {"price": prices} if prices else {}
    filled = {"event_id": rows, "description": int(described * rows), "price": rows if prices else 0}
    return OfKind(rows=rows, filled=filled, numbers=found, hours=(rows // 24,) * 24)


def profile(number, requests=1_000, **changes):
    """A day of ten showings a request and one click, each day a little other than the one before."""
    rows = round(requests * (1 + 0.02 * (number % 4 - 1.5)))
    usual = {
        "label": day(number).label,
        "rows_in": 11 * rows,
        "rows": 11 * rows,
        "quarantined": 0,
        "duplicates": 0,
        "first_s": 600.0,
        "last_s": 1_200.0,
        "kinds": {"impression": of_kind(10 * rows, prices=numbers(rows=10 * rows)), "click": of_kind(rows)},
        "counts": {
            "request_id": Counts(distinct=rows, most=12),
            "user_key": Counts(distinct=rows // 2, most=rows // 20),
            "query": Counts(distinct=150, most=rows // 5),
            "item_id": Counts(distinct=400, most=rows // 5),
        },
        "values": {"language": Values(rows={"en": 8 * rows, "de": 3 * rows}, others=0)},
        "checks": {"outcome_was_shown": (rows // 100, rows)},
    }
    return Profile(**usual | changes)


PAST = [profile(number) for number in range(28)]


def found(today, section=SECTION, past=PAST):
    """What is not usual: the verdict by the number's name."""
    return {one.name: one.verdict for one in judge_against(today, past, section) if one.verdict != "usual"}


def test_a_day_like_the_others_is_usual():
    assert found(profile(28)) == {}


ODD = {
    "rows": {"rows_in": 40_000},
    "click rows": {"kinds": {**PAST[0].kinds, "click": of_kind(500)}},
    "description of click filled": {"kinds": {**PAST[0].kinds, "click": of_kind(1_000, described=0.9)}},
    "hours after the last event": {"last_s": 6 * 3600.0},
    "hours before the first event": {"first_s": 6 * 3600.0},
    "rows told again": {"duplicates": 1_000},
    "rows of the commonest user": {"counts": {**PAST[0].counts, "user_key": Counts(distinct=500, most=4_000)}},
    "different item_id": {"counts": {**PAST[0].counts, "item_id": Counts(distinct=40, most=200)}},
    "quarantined": {"quarantined": 1_500},
    "breaks outcome_was_shown": {"checks": {"outcome_was_shown": (300, 1_000)}},
    "distribution of language": {"values": {"language": Values(rows={"en": 2_000, "pl": 9_000}, others=0)}},
    "typical price of impression": {
        "kinds": {**PAST[0].kinds, "impression": of_kind(10_000, prices=numbers(30, 10_000))}
    },
}


@pytest.mark.parametrize("name", ODD)
def test_each_number_that_is_far_off_is_told(name):
    assert name in found(profile(28, **ODD[name]))


def test_events_that_go_on_longer_than_usual_are_no_gap():
    assert found(profile(28, last_s=-600.0, first_s=0.0)) == {}


def test_what_is_plainly_broken_refuses_and_names_the_option_that_accepts_it():
    gone = {"kinds": {"impression": PAST[0].kinds["impression"]}}
    emptied = {"kinds": {**PAST[0].kinds, "click": of_kind(1_000, described=0.0)}}
    few = {"rows_in": 1_500}
    for name, changes in (("click rows", gone), ("description of click filled", emptied), ("rows", few)):
        findings = judge_against(profile(28, **changes), PAST, SECTION)
        assert found(profile(28, **changes))[name] == "broken"
        error = plainly_broken(findings, "2011-01-29")
        assert error.what == f"2011-01-29 is unlike every day before it: {name}"
        assert "data.recent.severity." in error.what_to_do


def test_one_huge_price_among_many_is_no_change():
    huge = {"count": 10_000, "mean": 1e6, "sizes": {20: 4_999, 22: 4_999, 120: 2}}
    kinds = {**PAST[0].kinds, "impression": of_kind(10_000, prices=numbers().model_copy(update=huge))}
    assert found(profile(28, kinds=kinds)) == {}


def test_few_rows_refuse_no_day_where_days_differ_much():
    past = [profile(number, rows_in=11_000 // (1 + number % 4)) for number in range(28)]
    assert found(profile(28, rows_in=250), past=past)["rows"] == "unusual"


def test_a_kind_that_was_not_there_every_day_may_be_gone():
    past = [*PAST[:10], profile(10, kinds={"impression": PAST[0].kinds["impression"]}), *PAST[11:]]
    assert plainly_broken(judge_against(profile(28, kinds=past[10].kinds), past, SECTION), "") is None


def test_severities_say_what_refuses_and_what_is_not_judged():
    gone = profile(28, kinds={"impression": PAST[0].kinds["impression"]})
    warning = RecentSection.model_validate({"severity": {"kinds": "warning"}})
    off = RecentSection.model_validate({"severity": {"kinds": "off"}})
    assert found(gone, warning)["click rows"] == "broken"
    assert plainly_broken(judge_against(gone, PAST, warning), "") is None
    assert "click rows" not in {one.name for one in judge_against(gone, PAST, off)}
    language = profile(28, **ODD["distribution of language"])
    strict = RecentSection.model_validate({"severity": {"distribution": "blocking"}})
    assert plainly_broken(judge_against(language, PAST, strict), "") is not None


def test_a_higher_sensitivity_tells_more():
    today = profile(28, checks={"outcome_was_shown": (80, 1_000)})
    past = [profile(n, checks={"outcome_was_shown": (10 + 4 * (n % 5), 1_000)}) for n in range(28)]
    wide, narrow = (RecentSection(sensitivity=sensitivity) for sensitivity in (0.5, 2))
    assert found(today, wide, past) == {}
    assert found(today, narrow, past) == {"breaks outcome_was_shown": "unusual"}


def test_quiet_days_of_every_week_are_usual_and_the_same_on_another_weekday_are_not():
    past = [profile(number, requests=400 if number % 7 == 2 else 1_000) for number in range(28)]
    assert "rows" not in found(profile(30, requests=400), past=past)
    assert found(profile(29, requests=400), past=past)["rows"] == "unusual"


def test_too_few_days_are_told_and_judge_nothing():
    assert judge_against(profile(28, rows_in=1), PAST[:6], SECTION) == []
    assert report_of([], PAST[:6], SECTION)["verdict"] == "6 past days are known, 7 are needed: not judged"


def test_a_column_that_is_new_is_judged_once_it_has_a_past():
    today = profile(28, values={"category": Values(rows={"shoes": 11_000}, others=0)})
    assert "distribution of category" not in {one.name for one in judge_against(today, PAST, SECTION)}


def past_of(*rows):
    return [PastDay(day(number).label, count, None) for number, count in enumerate(rows)]


def test_many_times_the_rows_refuse_a_day_from_the_second_one_on():
    assert many_times(10**6, day(0).label, [], SECTION) is None
    assert many_times(501, day(1).label, past_of(100), SECTION).what == "2011-01-02 has 5.0 times the usual rows"
    assert many_times(500, day(1).label, past_of(100), SECTION) is None


def test_a_weekday_that_is_always_busy_has_its_own_usual_rows():
    busy = [600 if number % 7 == 2 else 100 for number in range(28)]
    assert many_times(650, day(30).label, past_of(*busy), SECTION) is None
    assert many_times(650, day(29).label, past_of(*busy), SECTION) is not None


def test_what_is_unusual_is_counted_and_logged_the_furthest_first(caplog):
    findings = judge_against(profile(28, **ODD["distribution of language"]), PAST, SECTION)
    with caplog.at_level(logging.WARNING):
        assert warn(findings, "2011-01-29") == 1
    assert "2011-01-29 is unlike the days before it: distribution of language" in caplog.text
