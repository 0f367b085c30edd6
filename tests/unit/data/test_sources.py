import codecs
import shutil
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from fakes.deliveries import CSV_HEADER, Read, day, recipe, write_csv, write_shop_day
from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from recflow.artifacts.events import Arm, Exposure, Outcome, ShownItem
from recflow.clients.event_log import DuckEventLog
from recflow.data.sources import open_source
from recflow.data.sources.columns import text_id
from recflow.errors import BadConfiguration, BadData

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
FIRST = date(2011, 1, 1)
PAIR = '7,red shoe,Red Shoe,"two\nlines, ""quoted""",4,0'
EVENT = {
    "event_id": "e1",
    "at": "2011-01-01T10:00:00+00:00",
    "kind": "impression",
    "request_id": "r1",
    "user_key": "u1",
    "query": "shoe",
    "item_id": "i1",
    "position": 1,
}


def crowdflower(folder, days=1):
    source = {"adapter": "crowdflower", "days": days, "first_day": FIRST}
    return Read(recipe(data={"source": source}), folder)


def shop_of(folder):
    return Read(recipe(), folder)


class TestCrowdFlower:
    def test_a_pair_becomes_a_judgement_graded_from_zero(self, tmp_path):
        (row,) = crowdflower(write_csv(tmp_path, [PAIR])).rows(day()).to_pylist()
        assert (row["kind"], row["event_id"], row["query"], float(row["grade"])) == ("judgement", "7", "red shoe", 3)

    def test_quoted_lines_stay_together(self, tmp_path):
        (row,) = crowdflower(write_csv(tmp_path, [PAIR])).rows(day()).to_pylist()
        assert row["description"] == 'two\nlines, "quoted"'

    def test_every_row_has_one_day_and_the_report_says_where_it_comes_from(self, tmp_path):
        source = crowdflower(write_csv(tmp_path, [f"{n},q,t,d,1,0" for n in range(40)]), days=4)
        ids = [row["event_id"] for number in range(5) for row in source.rows(day(number)).to_pylist()]
        assert sorted(ids, key=int) == [str(n) for n in range(40)]
        assert "no date" in source.note

    def test_products_of_one_title_are_one_item(self, tmp_path):
        rows = crowdflower(write_csv(tmp_path, ["1,a,Red  Shoe,x,1,0", "2,b,red shoe,y,1,0"])).rows(day())
        assert set(rows["item_id"].to_pylist()) == {text_id("red shoe")}

    def test_the_fingerprint_moves_with_a_byte_of_its_day_only(self, tmp_path):
        before = write_csv(tmp_path / "a", [f"{n},q,t,d,1,0" for n in range(8)])
        after = write_csv(tmp_path / "b", [f"{n},q,{'T' if n == 3 else 't'},d,1,0" for n in range(8)])
        moved = [
            crowdflower(before, 4).fingerprint(day(n)) != crowdflower(after, 4).fingerprint(day(n)) for n in range(4)
        ]
        assert moved.count(True) == 1

    def test_a_file_in_another_encoding_is_bad_data_and_has_a_fingerprint(self, tmp_path):
        (tmp_path / "1-test.csv").write_bytes(CSV_HEADER.encode() + b"\n1,caf\xe9\n")
        source = crowdflower(tmp_path)
        assert len(source.fingerprint(day()).digest) == 64
        with pytest.raises(BadData, match=r"1-test.csv is not UTF-8.*0xe9"):
            source.rows(day())

    def test_a_missing_column_is_bad_data(self, tmp_path):
        folder = write_csv(tmp_path, ["1,q,d,1,0"], "id,query,product_description,median_relevance,relevance_variance")
        with pytest.raises(BadData, match=r"1-test\.csv lacks the column product_title"):
            crowdflower(folder).rows(day())


class TestShop:
    def test_events_get_the_texts_of_their_items(self, tmp_path):
        (row,) = shop_of(write_shop_day(tmp_path, [EVENT])).rows(day()).to_pylist()
        assert (row["title"], row["description"], row["position"]) == ("shoe i1", "leather", "1")

    def test_an_item_that_is_not_in_the_catalogue_has_no_title(self, tmp_path):
        (row,) = shop_of(write_shop_day(tmp_path, [{**EVENT, "item_id": "gone"}])).rows(day()).to_pylist()
        assert row["title"] is None

    def test_an_item_without_words_has_no_title_rather_than_a_word_for_nothing(self, tmp_path):
        shop = shop_of(write_shop_day(tmp_path, [EVENT, {**EVENT, "event_id": "e2", "item_id": "i2"}]))
        lines = ['{"item_id": "i1", "title": null, "description": null}', '{"item_id": "i2", "description": "\\ud800"}']
        (tmp_path / "catalogue" / "2011-01-01.jsonl").write_text("\n".join(lines))
        first, second = shop.rows(day()).to_pylist()
        assert not any((first["title"], first["description"], second["title"]))
        assert second["description"] == "\N{REPLACEMENT CHARACTER}"

    def test_the_catalogue_of_a_later_day_changes_nothing(self, tmp_path):
        shop = shop_of(write_shop_day(tmp_path, [EVENT]))
        before = shop.fingerprint(day())
        (tmp_path / "catalogue" / "2011-01-02.jsonl").write_text('{"item_id": "i1", "title": "new"}\n')
        assert shop.fingerprint(day()) == before
        assert shop.rows(day()).to_pylist()[0]["title"] == "shoe i1"

    def test_a_day_without_a_file_is_bad_data_and_has_a_fingerprint(self, tmp_path):
        shop = shop_of(write_shop_day(tmp_path, [EVENT]))
        assert len(shop.fingerprint(day(5)).digest) == 64
        with pytest.raises(BadData, match="no events of 2011-01-06"):
            shop.rows(day(5))

    def test_an_empty_file_gives_no_rows(self, tmp_path):
        assert shop_of(write_shop_day(tmp_path, [])).rows(day()).num_rows == 0

    def test_half_a_character_is_replaced_so_that_the_checks_see_it(self, tmp_path):
        (row,) = shop_of(write_shop_day(tmp_path, [{**EVENT, "query": "sho\ud83d"}])).rows(day()).to_pylist()
        assert row["query"] == "sho\ufffd"

    def test_a_column_that_no_event_has_is_bad_data(self, tmp_path):
        event = {name: value for name, value in EVENT.items() if name != "user_key"}
        with pytest.raises(BadData, match="lacks the column user_key"):
            shop_of(write_shop_day(tmp_path, [event])).rows(day())

    @pytest.mark.parametrize("folder", ["events", "catalogue"])
    def test_a_byte_order_mark_is_no_part_of_a_file_alone_or_joined(self, tmp_path, folder):
        plain = shop_of(write_shop_day(tmp_path, [EVENT, EVENT])).rows(day())
        (path,) = (tmp_path / folder).glob("*.jsonl")
        path.write_bytes(b"".join(codecs.BOM_UTF8 + line for line in path.read_bytes().splitlines(keepends=True)))
        assert shop_of(tmp_path).rows(day()).equals(plain)

    def test_a_file_of_a_byte_order_mark_alone_gives_no_rows(self, tmp_path):
        shop = shop_of(write_shop_day(tmp_path, [EVENT]))
        (tmp_path / "events" / f"{day().label}.jsonl").write_bytes(codecs.BOM_UTF8)
        assert shop.rows(day()).num_rows == 0

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b'{"query": "caf\xe9"}\n', "not UTF-8.*line 1"),
            (codecs.BOM_UTF16_LE + '{"query": "shoe"}\n'.encode("utf-16-le"), "not UTF-8.*line 1"),
            (b'{"query": "ca', "cut or broken"),
            (b"[1]\n", "not a log"),
        ],
    )
    def test_a_file_that_is_no_utf8_json_log_is_bad_data(self, tmp_path, line, message):
        shop = shop_of(write_shop_day(tmp_path, [EVENT]))
        (tmp_path / "events" / f"{day().label}.jsonl").write_bytes(line)
        with pytest.raises(BadData, match=message):
            shop.rows(day())


def exposure(request_id, *, minutes=60, **changes):
    shown = Exposure(
        request_id=request_id,
        at=day().start + timedelta(minutes=minutes),
        recipe="search",
        user_key="u1",
        anonymous=False,
        epoch=1,
        arm=Arm.STABLE,
        assigned_version="v1",
        served_version="v1",
        query="shoe",
        items=(ShownItem(item_id="i1", position=1, score=0.5), ShownItem(item_id="i2", position=2, score=0.1)),
        latency_ms=3,
    )
    return shown.model_copy(update=changes)


def outcome(request_id, item_id="i2", *, minutes=61, **changes):
    act = Outcome(
        outcome_id=f"o-{request_id}-{item_id}",
        request_id=request_id,
        at=day().start + timedelta(minutes=minutes),
        recipe="search",
        user_key="u1",
        kind="purchase",
        item_id=item_id,
        value=9.5,
    )
    return act.model_copy(update=changes)


class TestGatewayLog:
    def gateway_log(self, folder, *records):
        return Read(recipe("gateway_log"), write_shop_day(folder, []), FakeEventLog(records))

    def test_exposures_become_impressions_and_outcomes_get_query_and_position(self, tmp_path):
        rows = self.gateway_log(tmp_path, exposure("r1"), outcome("r1")).rows(day()).to_pylist()
        assert [(r["kind"], r["item_id"], r["position"], r["query"], r["title"]) for r in rows] == [
            ("impression", "i1", "1", "shoe", "shoe i1"),
            ("impression", "i2", "2", "shoe", "shoe i2"),
            ("purchase", "i2", "2", "shoe", "shoe i2"),
        ]

    @pytest.mark.parametrize("marked", ["bot", "employee", "forced"])
    def test_marked_requests_and_their_outcomes_are_left_out(self, tmp_path, marked):
        log = self.gateway_log(tmp_path, exposure("r1", marked=marked), outcome("r1"))
        assert log.rows(day()).num_rows == 0

    def test_people_without_any_id_teach_like_all_others(self, tmp_path):
        log = self.gateway_log(tmp_path, exposure("r1", marked="unidentified"), outcome("r1"))
        assert log.rows(day())["kind"].to_pylist() == ["impression", "impression", "purchase"]

    def test_what_is_left_of_an_erased_person_is_left_out(self, tmp_path):
        nobody = {"user_key": "", "erased": True}
        log = self.gateway_log(
            tmp_path,
            exposure("r1", query="", items=(), **nobody),
            outcome("r1", "i1", **nobody),
            exposure("r2"),
            outcome("r2", **nobody),
        )
        assert log.rows(day())["kind"].to_pylist() == ["impression", "impression"]

    @pytest.mark.parametrize(
        ("keys", "counted_for"),
        [
            ({"user_key": "u1"}, "u1"),
            ({"user_key": "signed-in", "visitor_key": "u1"}, "u1"),
            ({"user_key": "signed-in", "visitor_key": "u2"}, "signed-in"),
            ({"user_key": "signed-in"}, "signed-in"),
        ],
    )
    def test_an_outcome_is_the_shown_users_only_when_it_names_that_user(self, tmp_path, keys, counted_for):
        rows = self.gateway_log(tmp_path, exposure("r1"), outcome("r1", **keys)).rows(day()).to_pylist()
        assert rows[-1]["user_key"] == counted_for

    def test_a_log_that_was_written_before_its_records_had_versions_gives_all_its_rows(self, tmp_path):
        kept = shutil.copytree(FIXTURES / "schema_1" / "events", tmp_path / "log")
        log = DuckEventLog(kept, FakeClock())
        settings = recipe("gateway_log").model_copy(update={"name": "shop_search"})
        rows = Read(settings, write_shop_day(tmp_path, []), log).rows(day(4))
        assert Counter(rows["kind"].to_pylist()) == {"impression": 480, "click": 54, "purchase": 27}
        assert None not in rows["user_key"].to_pylist() + rows["position"].to_pylist()

    def test_an_order_of_two_items_under_one_id_is_two_rows(self, tmp_path):
        acts = (outcome("r1", item, outcome_id="order-1") for item in ("i1", "i2"))
        purchases = self.gateway_log(tmp_path, exposure("r1"), *acts).rows(day()).slice(2).to_pylist()
        assert [row["item_id"] for row in purchases] == ["i1", "i2"]
        assert len({row["event_id"] for row in purchases}) == 2

    def test_an_outcome_by_a_clock_that_is_a_minute_behind_is_of_the_day_of_its_search(self, tmp_path):
        log = self.gateway_log(tmp_path, exposure("r1", minutes=0.5), outcome("r1", minutes=-0.5))
        assert log.rows(day())["kind"].to_pylist().count("purchase") == 1
        assert log.rows(day(-1)).num_rows == 0

    def test_equal_records_have_one_fingerprint_in_whatever_order_they_were_written(self, tmp_path):
        records = [exposure("r1"), exposure("r2"), outcome("r1"), outcome("r2")]
        first, second = (self.gateway_log(tmp_path, *written) for written in (records, records[::-1]))
        assert first.fingerprint(day()) == second.fingerprint(day())

    def test_an_outcome_after_midnight_belongs_to_the_day_of_its_search(self, tmp_path):
        log = self.gateway_log(tmp_path, exposure("r1", minutes=1435), outcome("r1", minutes=1445))
        assert log.rows(day())["kind"].to_pylist().count("purchase") == 1
        assert log.rows(day(1)).num_rows == 0

    def test_the_fingerprint_moves_with_an_outcome(self, tmp_path):
        without = self.gateway_log(tmp_path, exposure("r1")).fingerprint(day())
        assert self.gateway_log(tmp_path, exposure("r1"), outcome("r1")).fingerprint(day()) != without

    def test_a_log_that_has_nothing_of_a_day_is_empty_and_only_reading_tells(self, tmp_path):
        log = self.gateway_log(tmp_path, exposure("r1")).source
        assert [log.fingerprint(day(number)).empty for number in range(2)] == [False, True]
        assert log.stamp(day()) == ""

    def test_the_catalogue_may_be_a_table_of_judged_pairs(self, tmp_path):
        item = text_id("Red Shoe")
        shown = exposure("r1").model_copy(update={"items": (ShownItem(item_id=item, position=1, score=1),)})
        columns = {"item_id": {"column": "product_title", "id_of_text": True}, "title": "product_title"}
        source = {"adapter": "gateway_log", "catalogue": {"files": ["*.csv"], "columns": columns}}
        log = Read(recipe(data={"source": source}), write_csv(tmp_path, [PAIR]), FakeEventLog([shown]))
        assert log.rows(day())["title"].to_pylist() == ["Red Shoe"]


def test_a_source_whose_folder_is_missing_is_a_configuration_error(tmp_path):
    with pytest.raises(BadConfiguration, match="not there"):
        open_source(recipe(), (tmp_path / "nowhere").as_uri())


def test_the_gateway_log_needs_an_event_log(tmp_path):
    with pytest.raises(BadConfiguration, match="event log"):
        open_source(recipe("gateway_log"), tmp_path.as_uri())
