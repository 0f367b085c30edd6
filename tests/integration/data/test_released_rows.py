"""What a person releases is kept by the next build of that delivery, with who and why, and of no other."""

import pytest

from fakes.deliveries import CSV_HEADER, day, write_csv, write_shop_day
from fakes.reviewed_days import Shop
from recflow.artifacts.refs import RefKind
from recflow.data.pins import pin_source
from recflow.data.released import Released, ReleasedHistory
from recflow.data.review import (
    choose_checks,
    choose_day,
    choose_rows,
    choose_withdrawal,
    kept_next,
    release,
    review_day,
)
from recflow.errors import BadData, LedgerConflict, PermanentError, RowsNotReleased

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

FILE = "1-test.csv"
MEAN = {"name": "half_are_good", "expectation": "expect_column_mean_to_be_between"}
MEAN["kwargs"] = {"column": "grade", "max_value": 1}
NO_REFILLS = {"name": "no_refills", "expectation": "expect_column_values_to_not_match_regex"}
NO_REFILLS["kwargs"] = {"column": "title", "regex": "refill"}


def pairs(count, *extra):
    return [*(f"{number},query {number},title {number},text,3,0" for number in range(count)), *extra]


def odd(count):
    return [f"odd{number},query,refill caf\ufffd {number},text,3,0" for number in range(count)]


def searched(*acts):
    row = {"at": "2011-01-01T10:00:00+00:00", "kind": "impression", "query": "lamp", "item_id": "i1", "position": 1}
    rows = [{**row, "event_id": f"e{n}", "request_id": f"r{n}", "user_key": f"u{n}"} for n in range(40)]
    return rows + [{**rows[n], "kind": "purchase", "event_id": f"a{n}", **act} for n, act in enumerate(acts)]


def place_of(shop, event_id):
    (row,) = (row for row in shop.review().rows() if row["event_id"] == event_id)
    return row["source_file"], row["source_row"]


def test_a_released_row_is_in_the_next_build_and_the_report_says_by_whom_and_why(tmp_path, engine):
    shop = Shop(tmp_path, engine=engine, checks=[NO_REFILLS])
    write_csv(shop.folder, pairs(20, *odd(2)))
    first = shop.build()
    assert shop.review().counts() == {"": 2, "no_refills": 2, "title_undamaged": 2}
    shop.release(choose_rows, [place_of(shop, "odd1")], because="the shop sells refills", person="ada")
    assert kept_next(shop.review(), shop.review().counting) == 1
    second = shop.build()
    assert second != first
    assert {*shop.kept()} == {*map(str, range(20)), "odd1"}
    assert [row["event_id"] for row in shop.review().rows()] == ["odd0"]
    told = shop.report(second)["released"]
    assert (told["rows"], second.numbers["released_rows"]) == (1, 1)
    assert [(by["person"], by["because"], by["what"]) for by in told["by"]] == [
        ("ada", "the shop sells refills", "1 rows")
    ]
    assert shop.build() == second


def test_a_released_check_refuses_no_row_any_more_and_the_others_still_do(tmp_path, engine):
    shop = Shop(tmp_path, engine=engine, checks=[NO_REFILLS])
    write_csv(shop.folder, pairs(20, *odd(2), "red,query,refill,text,3,0"))
    shop.build()
    shop.release(choose_checks, ["no_refills"])
    assert kept_next(shop.review(), shop.review().counting) == 1
    shop.build()
    assert {*shop.kept()} == {*map(str, range(20)), "red"}
    assert [row["reasons"] for row in shop.review().rows()] == [["title_undamaged"]] * 2
    shop.release(choose_rows, [place_of(shop, "odd0")])
    shop.build()
    assert "odd0" in shop.kept()
    assert "odd1" not in shop.kept()


def test_a_day_that_was_refused_for_its_bad_rows_passes_when_enough_are_released(tmp_path):
    shop = Shop(tmp_path, checks=[NO_REFILLS])
    write_csv(shop.folder, pairs(20, *odd(6)))
    with pytest.raises(BadData, match="6 bad rows of 26"):
        shop.build()
    shop.release(choose_rows, [place_of(shop, "odd0"), place_of(shop, "odd1")])
    shop.build()
    assert len(shop.kept()) == 22
    assert shop.review().ref.kind is RefKind.PARTITION


def test_all_rows_that_can_be_kept_are_released_together_and_the_others_stay(tmp_path, engine):
    shop = Shop(tmp_path, engine=engine)
    write_csv(shop.folder, pairs(40, *odd(2), "bad,query,caf\ufffd,text,9,0"))
    shop.build()
    assert shop.release(choose_checks, []).checks == ("title_undamaged",)
    assert kept_next(shop.review(), shop.review().counting) == 2
    shop.build()
    assert {*shop.kept()} == {*map(str, range(40)), "odd0", "odd1"}
    (left,) = shop.review().rows()
    assert (left["reasons"], left["releasable"]) == (["grade_0_to_3", "title_undamaged"], False)
    with pytest.raises(RowsNotReleased, match="no row can be released"):
        shop.release(choose_checks, [])


@pytest.mark.parametrize(
    ("rows", "options", "names"),
    [
        (pairs(20), {"min_rows": 50}, ("too_small",)),
        (pairs(20), {"checks": [MEAN]}, ("half_are_good",)),
        ([*pairs(70), *pairs(30)], {}, ("duplicates",)),
        (pairs(20, *odd(20)), {}, ("systematic_loss", "too_many_bad_rows")),
    ],
    ids=["size", "a check of the day", "duplicates", "its bad rows"],
)
def test_a_refused_day_is_accepted_as_it_is_for_the_refusals_that_were_told(tmp_path, rows, options, names):
    shop = Shop(tmp_path, **options)
    if "systematic_loss" in names:  # a file of its own, all of which is bad
        write_csv(shop.folder, rows[:20])
        (shop.folder / "2-test.csv").write_text("\n".join([CSV_HEADER, *rows[20:]]) + "\n", encoding="utf-8")
    else:
        write_csv(shop.folder, rows)
    with pytest.raises(BadData):
        shop.build()
    assert shop.release(choose_day, because="a holiday").refusals == names
    ref = shop.build()
    report = shop.report(ref)
    assert {refusal["name"] for refusal in report["accepted"]} == {*names}
    assert report["refusals"] == []
    assert report["released"]["by"][0]["because"] == "a holiday"
    assert "Accepted by a person" in (shop.review().folder / "data_docs" / "index.html").read_text()


def test_an_accepted_day_is_refused_for_what_nobody_was_told(tmp_path):
    shop = Shop(tmp_path, min_rows=50)
    write_csv(shop.folder, pairs(20))
    with pytest.raises(BadData):
        shop.build()
    shop.release(choose_day)
    shop.usual = 2
    with pytest.raises(BadData, match=r"^2011-01-01 has 10\.0 times the usual rows\. "):
        shop.build()


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ({"event_id": None}, "event_id_present"),
        ({"at": "noon"}, "at_is_a_time"),
        ({"kind": "gaze"}, "kind_known"),
        ({"value": "dear"}, "value_is_a_number"),
        ({"item_id": None}, "item_id_present"),
        ({"item_id": "i9"}, "item_known"),
        ({"position": "first"}, "position_is_a_number"),
        ({"position": 4294967295}, "position_from_1"),
        ({"user_key": None}, "user_key_present"),
        ({"value": 1e308}, "purchase_value_at_most"),
        ({"value": -1e308}, "value_not_negative"),
    ],
)
def test_a_row_that_no_partition_can_hold_is_not_released(tmp_path, act, reason):
    shop = Shop(tmp_path, "shop")
    write_shop_day(shop.folder, searched(act, {"value": 9}, {"value": 9}))
    shop.build()
    (row,) = shop.review().rows()
    assert not row["releasable"]
    with pytest.raises(RowsNotReleased, match=rf"{row['source_row']} cannot be kept.*{reason}"):
        shop.release(choose_rows, [(row["source_file"], row["source_row"])])
    assert shop.review().acts == ()


def test_a_damaged_record_is_not_released_by_row_or_by_check(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, "b,q,t,text,3,0,more,more"))
    shop.build()
    (row,) = shop.review().rows()
    with pytest.raises(RowsNotReleased, match=r"cannot be kept.*record_whole"):
        shop.release(choose_rows, [(row["source_file"], row["source_row"])])
    with pytest.raises(RowsNotReleased, match="rows with record_whole cannot be kept"):
        shop.release(choose_checks, ["record_whole"])


def test_a_value_beyond_reach_stays_although_its_check_is_released(tmp_path, engine):
    shop = Shop(tmp_path, "shop", engine=engine)
    write_shop_day(shop.folder, searched({"value": 1e308}, {"value": 100_001}))
    shop.build()
    shop.release(choose_checks, ["purchase_value_at_most"])
    assert kept_next(shop.review(), shop.review().counting) == 1
    shop.build()
    assert "a1" in shop.kept()
    assert [row["event_id"] for row in shop.review().rows()] == ["a0"]


@pytest.mark.parametrize(
    ("choose", "what", "said"),
    [
        (choose_rows, [[(FILE, 3)]], "1-test.csv:3 is not in quarantine"),
        (choose_rows, [[("other.csv", 21)]], "other.csv:21 is not in quarantine"),
        (choose_checks, [["grade_0_to_3"]], r"no row is in quarantine for grade_0_to_3.*title_undamaged"),
        (choose_day, [], "the day is not refused"),
        (choose_withdrawal, [1], "release 1 cannot be withdrawn"),
    ],
)
def test_what_is_not_there_is_not_released(tmp_path, choose, what, said):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *odd(1)))
    shop.build()
    with pytest.raises(RowsNotReleased, match=said):
        shop.release(choose, *what)
    assert shop.review().acts == ()


def test_nothing_is_released_twice_and_it_is_told_who_did(tmp_path):
    shop = Shop(tmp_path, checks=[NO_REFILLS])
    write_csv(shop.folder, pairs(20, *odd(2)))
    shop.build()
    rows = [place_of(shop, "odd0")]
    shop.release(choose_rows, rows, person="ada", because="they are real")
    with pytest.raises(RowsNotReleased, match=r"is released already.*release 1 by ada: they are real"):
        shop.release(choose_rows, rows)
    shop.release(choose_checks, ["no_refills"])
    with pytest.raises(RowsNotReleased, match="no_refills is released already"):
        shop.release(choose_checks, ["no_refills"])
    assert len(shop.review().acts) == 2


def test_of_two_people_at_once_the_second_reads_again(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *odd(2)))
    shop.build()
    as_read = shop.review()
    shop.release(choose_rows, [place_of(shop, "odd0")], person="ada")
    with pytest.raises(LedgerConflict):
        release(
            shop.bench.artifacts,
            as_read,
            choose_rows(as_read, [place_of(shop, "odd0")]),
            at=shop.bench.clock.now(),
            person="bob",
            because="mine",
        )
    assert [act.person for act in shop.review().acts] == ["ada"]


def test_a_new_delivery_is_judged_without_what_was_released_of_another_and_says_so(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *odd(2)))
    shop.build()
    shop.release(choose_checks, ["title_undamaged"])
    released = shop.build()
    write_csv(shop.folder, pairs(21, *odd(2)))
    again = shop.build()
    assert not {"odd0", "odd1"} & {*shop.kept()}
    assert shop.report(again)["released"] == {"rows": 0, "by": [], "of_other_deliveries": 1}
    assert (len(shop.review().acts), shop.review().counting) == (1, [])
    write_csv(shop.folder, pairs(20, *odd(2)))
    assert shop.build() == released


def test_a_withdrawn_release_counts_no_more_and_the_first_result_is_taken_again(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *odd(2)))
    first = shop.build()
    shop.release(choose_checks, ["title_undamaged"])
    assert shop.build() != first
    shop.release(choose_withdrawal, 1)
    assert shop.build() == first
    assert [act.what for act in shop.review().acts] == ["rows refused by title_undamaged", "withdraws 1"]
    with pytest.raises(RowsNotReleased, match="release 1 cannot be withdrawn"):
        shop.release(choose_withdrawal, 1)


def test_what_is_released_after_the_pin_waits_for_the_next_build(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *odd(2)))
    shop.build()
    shop.release(choose_rows, [place_of(shop, "odd0")])
    history, source = (
        ReleasedHistory(shop.bench.store, "search"),
        pin_source(shop.recipe, day(), shop.folder),
    )
    (pinned,) = history.pin(day().label, source)["released"]
    shop.release(choose_rows, [place_of(shop, "odd1")])
    assert [act.seq for act in history.read(day().label, source.digest, pinned)] == [1]
    shop.bench.store.objects[f"search/quarantine/released/{day().label}/000001.json"] = (
        shop.review().acts[0].model_copy(update={"person": "eve"}).model_dump_json().encode()
    )
    with pytest.raises(PermanentError, match="is not what was pinned"):
        history.read(day().label, source.digest, pinned)


def test_a_day_that_never_was_has_no_quarantine(tmp_path):
    shop = Shop(tmp_path)
    with pytest.raises(RowsNotReleased, match="search has no day 2011-01-01"):
        review_day(shop.bench.artifacts, "search", "2011-01-01")


def test_an_act_without_a_delivery_is_none():
    with pytest.raises(ValueError, match="delivery"):
        Released(seq=1, at=day().start, delivery="", person="ada", because="why")
