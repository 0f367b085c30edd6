"""What a shop can deliver, and what becomes of it: files of every format and packing, and the column mapping."""

import gzip
import io
import json
import os
import resource
import signal
import tarfile
import zipfile
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from fakes.deliveries import Read, day, recipe
from recflow.config.sections.sources import DELIVERY_COLUMNS, EVENT_COLUMNS, SourceSection
from recflow.data.pins import deliver_pinned, pin_source
from recflow.data.rows import CARRIED, COLUMNS
from recflow.data.sources import open_source
from recflow.data.sources.batches import RECORDS_A_BATCH
from recflow.errors import BadData, PermanentError, StoreFull

AT = "2011-01-01T10:00:00+00:00"
MAPPING = {"event_id": "id", "at": {"column": "time", "optional": True}, "query": {"column": "q", "optional": True}}


def settings(files="{date:%Y-%m-%d}/*", columns=MAPPING, *, source=None, catalogue=None, **table):
    events = [{"files": [files], "columns": columns, **table}]
    section = {"adapter": "tables", "events": events, "catalogue": catalogue, **(source or {})}
    return recipe(data={"source": section})


def read(folder, *args, **changes):
    return Read(settings(*args, **changes), folder).rows(day()).to_pylist()


def written(folder, name, data, label="2011-01-01"):
    (folder / label).mkdir(parents=True, exist_ok=True)
    (folder / label / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def values(rows, column="event_id"):
    return [row[column] for row in rows]


def column(folder, value, rule, **changes):
    """A value as a rule makes it."""
    written(folder, "e.jsonl", json.dumps({"id": "e", "x": value}))
    return read(folder, columns={"event_id": "id", "query": {"column": "x", **rule}}, **changes)[0]["query"]


def zipped(**files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_", "."), data)
    return held.getvalue()


def tarred(mode, **files):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def parquet(**columns):
    held = io.BytesIO()
    pq.write_table(pa.table(columns), held)
    return held.getvalue()


CSV = b"id,time,q\n1,,lamp\n2,,shoe\n"
LINES = b'{"id": 1, "q": "lamp"}\n{"id": "2", "q": "shoe"}\n'


def test_a_recipe_may_map_every_column_that_a_partition_has():
    assert EVENT_COLUMNS == COLUMNS
    assert (*COLUMNS, *CARRIED) == DELIVERY_COLUMNS


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("e.csv", CSV),
        ("e.tsv", CSV.replace(b",", b"\t")),
        ("e.csv.gz", gzip.compress(CSV, mtime=0)),
        ("e.jsonl", LINES),
        ("e.ndjson.gz", gzip.compress(LINES, mtime=0)),
        ("e.parquet", parquet(id=[1, 2], q=["lamp", "shoe"])),
        ("e.zip", zipped(a_csv=b"id,q\n1,lamp\n", b_jsonl=b'{"id": 2, "q": "shoe"}')),
        ("e.zip", zipped(a_parquet=parquet(id=["1", "2"], q=["lamp", "shoe"]))),
        ("e.tar", tarred("w", a_csv=CSV)),
        ("e.tar.gz", tarred("w:gz", a_csv=CSV)),
        ("e.tgz", tarred("w:gz", a_csv=CSV)),
    ],
)
def test_the_same_rows_come_from_every_format_and_packing(tmp_path, name, data):
    rows = read(written(tmp_path, name, data))
    assert [(row["event_id"], row["query"], row["damage"]) for row in rows] == [
        ("1", "lamp", None),
        ("2", "shoe", None),
    ]


def test_a_row_says_which_line_of_which_file_it_is(tmp_path):
    written(tmp_path, "e.zip", zipped(a_csv=b"id\n1\n\n2\n"))
    assert [(row["source_file"], row["source_row"]) for row in read(tmp_path)] == [
        ("2011-01-01/e.zip/a.csv", 2),
        ("2011-01-01/e.zip/a.csv", 4),
    ]


class TestWhichFiles:
    def test_the_days_files_are_found_by_their_names(self, tmp_path):
        for label in ("2011-01-01", "2011-01-02"):
            for part in ("b", "a"):
                written(tmp_path, f"{part}.csv", f"id\n{label}{part}\n", label)
        assert values(read(tmp_path)) == ["2011-01-01a", "2011-01-01b"]

    @pytest.mark.parametrize(
        "files", ["{date:%Y/%m/%d}.csv", "{date:%Y}/{date:%m}/{date:%d}.csv", "{date:%Y}/01/0?.csv"]
    )
    def test_a_date_may_be_spread_over_folders(self, tmp_path, files):
        (tmp_path / "2011" / "01").mkdir(parents=True)
        (tmp_path / "2011" / "01" / "01.csv").write_text("id\n1\n")
        assert values(read(tmp_path, files)) == ["1"]

    def test_a_folders_name_never_becomes_a_column(self, tmp_path):
        folder = tmp_path / "2011-01-01" / "query=chair"
        folder.mkdir(parents=True)
        (folder / "e.parquet").write_bytes(parquet(id=["1"], q=["lamp"]))
        assert values(read(tmp_path, "{date:%Y-%m-%d}/query=*/*.parquet"), "query") == ["lamp"]

    def test_marks_of_other_programs_are_no_events(self, tmp_path):
        written(written(tmp_path, "e.csv", CSV), "_SUCCESS", b"")
        assert len(read(written(tmp_path, ".e.csv.crc", b"x"))) == 2

    def test_a_day_without_files_is_bad_data_and_has_a_fingerprint(self, tmp_path):
        source = Read(settings(), tmp_path)
        assert len(source.fingerprint(day()).digest) == 64
        with pytest.raises(BadData, match=r"there are no events of 2011-01-01.*\{date:%Y-%m-%d\}/\*"):
            source.rows(day())

    def test_the_fingerprint_moves_with_a_byte_or_a_name_of_its_day_only(self, tmp_path):
        written(written(tmp_path, "e.csv", CSV), "e.csv", CSV, "2011-01-02")
        source = Read(settings(), tmp_path)
        before = [source.fingerprint(day(n)) for n in range(2)]
        written(tmp_path, "f.csv", CSV)
        between = [source.fingerprint(day(n)) for n in range(2)]
        written(tmp_path, "f.csv", CSV + b" ")
        after = [source.fingerprint(day(n)) for n in range(2)]
        assert len({before[0], between[0], after[0]}) == 3
        assert before[1] == between[1] == after[1]

    def test_one_file_of_many_days_gives_each_day_its_own_rows_and_every_day_the_unreadable(self, tmp_path):
        (tmp_path / "all.csv").write_text("id,time,q\n1,01.01.2011 23:59,a\n2,02.01.2011 00:00,b\n3,soon,c\n")
        columns = {**MAPPING, "at": {"column": "time", "time": ["%d.%m.%Y %H:%M"]}}
        source = Read(settings("all.csv", columns, own_times=True, source={"zone": "UTC"}), tmp_path)
        assert [values(source.rows(day(n)).to_pylist()) for n in range(2)] == [["1", "3"], ["2", "3"]]
        before = source.fingerprint(day())
        with (tmp_path / "all.csv").open("a") as file:
            file.write("4,02.01.2011 10:00,d\n")
        assert source.fingerprint(day()) == before

    def test_several_tables_give_one_days_rows(self, tmp_path):
        written(written(tmp_path, "views.csv", "id\n1\n"), "orders.jsonl", '{"no": 7}')
        views = {"files": ["{date:%Y-%m-%d}/views.csv"], "columns": {"event_id": "id", "kind": {"constant": "click"}}}
        orders = {
            "files": ["{date:%Y-%m-%d}/orders.*"],
            "columns": {"event_id": "no", "kind": {"constant": "purchase"}},
        }
        rows = Read(recipe(data={"source": {"adapter": "tables", "events": [views, orders]}}), tmp_path).rows(day())
        assert rows.select(["event_id", "kind"]).to_pylist() == [
            {"event_id": "7", "kind": "purchase"},
            {"event_id": "1", "kind": "click"},
        ]

    def test_two_tables_of_one_file_make_two_rows_of_one_line_each_with_a_place_of_its_own(self, tmp_path):
        written(tmp_path, "e.csv", "id,clicked\n1,yes\n2,no\n")
        shown = {"files": ["{date:%Y-%m-%d}/*"], "columns": {"event_id": "id", "kind": {"constant": "impression"}}}
        clicks = {**shown, "columns": {"event_id": "id", "kind": {"constant": "click"}}, "only": {"clicked": ["yes"]}}
        rows = Read(recipe(data={"source": {"adapter": "tables", "events": [shown, clicks]}}), tmp_path).rows(day())
        assert rows["kind"].to_pylist() == ["impression", "impression", "click"]
        assert len({(row["source_file"], row["source_row"]) for row in rows.to_pylist()}) == 3

    def test_texts_come_from_the_newest_catalogue_that_is_not_younger_than_the_day(self, tmp_path):
        written(tmp_path, "e.csv", "id,sku\n1,a\n2,b\n")
        for label, text in (("20101230", "old"), ("20110101", "new"), ("20110102", "later")):
            (tmp_path / f"items-{label}.csv").write_text(f"sku,name\na,first\na,{text} a\n")
        catalogue = {"files": ["items-{date:%Y%m%d}.csv"], "columns": {"item_id": "sku", "title": "name"}}
        rows = read(tmp_path, columns={"event_id": "id", "item_id": "sku"}, catalogue=catalogue)
        assert values(rows, "title") == ["new a", None]

    def test_what_else_is_told_of_items_and_acts_comes_along_as_text(self, tmp_path):
        item = {"sku": "a", "cost": 9.5, "brand": {"name": "Lux"}, "lang": "de"}
        (tmp_path / "items.jsonl").write_text(json.dumps(item))
        written(tmp_path, "e.jsonl", '{"id": 1, "sku": "a", "stars": 4, "words": "bright"}')
        names = {"item_id": "sku", "price": "cost", "attributes": "brand", "language": "lang"}
        columns = {"event_id": "id", "item_id": "sku", "rating": "stars", "text": "words"}
        (row,) = read(tmp_path, columns=columns, catalogue={"files": ["items.jsonl"], "columns": names})
        assert [row[name] for name in ("price", "attributes", "language", "seller", "rating", "text")] == [
            "9.5", '{"name": "Lux"}', "de", None, "4", "bright",
        ]  # fmt: skip


class TestMapping:
    def test_values_are_renamed_and_others_stay(self, tmp_path):
        assert column(tmp_path, "add_to_cart", {"map": {"add_to_cart": "cart"}}) == "cart"
        assert column(tmp_path, "like", {"map": {"add_to_cart": "cart"}}) == "like"

    @pytest.mark.parametrize(
        ("pieces", "price", "rule", "made"),
        [
            ("3", "2.55", {}, "7.65"),
            ("-3", "2.55", {}, "-7.65"),
            ("-3", "2.55", {"absolute": True}, "7.65"),
            ("3", "1.000,50", {"decimal": ","}, "3001.50"),
            ("3", "2.5", {"scale": 100}, "750"),
            ("many", "2.55", {}, "2.55"),
            ("3", "free", {}, "free"),
        ],
    )
    def test_numbers_are_multiplied_by_those_of_another_column_exactly(self, tmp_path, pieces, price, rule, made):
        written(tmp_path, "e.jsonl", json.dumps({"id": "1", "price": price, "pieces": pieces}).encode() + b"\n")
        columns = {"event_id": "id", "value": {"column": "price", "times": "pieces", **rule}}
        assert read(tmp_path, columns=columns)[0]["value"] == made

    @pytest.mark.parametrize(("value", "made"), [("-1", "return"), ("12", "purchase"), ("0", "purchase"), ("", "")])
    def test_values_are_called_by_the_first_pattern_that_they_fit(self, tmp_path, value, made):
        assert column(tmp_path, value, {"match": {"-.+": "return", ".+": "purchase"}}) == made

    def test_a_pattern_that_is_none_is_refused(self):
        with pytest.raises(ValidationError, match="is no pattern"):
            SourceSection(
                adapter="tables",
                events=[{"files": ["{date:%d}.csv"], "columns": {"kind": {"column": "a", "match": {"(": "b"}}}}],
            )

    @pytest.mark.parametrize(
        ("value", "rule", "made"),
        [
            (0, {"offset": 1}, "1"),
            ("5", {"scale": 0.75, "offset": -0.75}, "3.00"),
            ("1.234,50", {"decimal": ","}, "1234.50"),
            ("9007199254740993", {"offset": 1}, "9007199254740994"),
            ("12.50", {"scale": 100}, "1250"),
            ("third", {"offset": 1}, "third"),
            ("nan", {"offset": 1}, "nan"),
        ],
    )
    def test_numbers_are_counted_and_scaled_otherwise_exactly(self, tmp_path, value, rule, made):
        assert column(tmp_path, value, rule) == made

    @pytest.mark.parametrize(
        ("value", "formats", "zone", "made"),
        [
            ("01.07.2011 12:30", ["%d.%m.%Y %H:%M"], "Europe/Berlin", "2011-07-01T10:30:00+00:00"),
            ("2011-01-01T12:00:00", ["iso"], "Europe/Berlin", "2011-01-01T11:00:00+00:00"),
            ("2011-01-01T12:00:00+05:30", ["iso"], "Europe/Berlin", "2011-01-01T06:30:00+00:00"),
            (1293876000000, ["iso", "milliseconds"], "", "2011-01-01T10:00:00+00:00"),
            ("1293876000", ["seconds"], "", "2011-01-01T10:00:00+00:00"),
            ("soon", ["iso", "seconds"], "UTC", "soon"),
        ],
    )
    def test_times_are_read_by_their_format_and_zone(self, tmp_path, value, formats, zone, made):
        assert column(tmp_path, value, {"time": formats}, source={"zone": zone}) == made

    def test_the_double_hour_in_autumn_is_the_first_one(self, tmp_path):
        made = column(tmp_path, "2011-10-30 02:30:00", {"time": ["iso"]}, source={"zone": "Europe/Berlin"})
        assert made == "2011-10-30T00:30:00+00:00"

    def test_times_without_an_offset_refuse_the_day_until_the_recipe_says_their_zone(self, tmp_path):
        written(tmp_path, "e.csv", "id,time\n1,2011-01-01T10:00:00Z\n2,2011-01-01 10:00:00\n")
        with pytest.raises(
            BadData, match=r"times without an offset.*'2011-01-01 10:00:00' in row 3.*data\.source\.zone"
        ):
            read(tmp_path)

    def test_a_zone_alone_is_enough_for_iso_times(self, tmp_path):
        written(tmp_path, "e.csv", "id,time\n1,2011-01-01T10:00:00Z\n2,2011-01-01 10:00:00\n")
        rows = read(tmp_path, source={"zone": "Europe/Berlin"})
        moments = [datetime.fromisoformat(at).astimezone(UTC).hour for at in values(rows, "at")]
        assert moments == [10, 9]

    def test_an_objects_inside_is_reached_by_dots(self, tmp_path):
        line = {"id": "1", "object": {"rank": 0, "a.b": "x"}, "a.b": "y"}
        written(tmp_path, "e.jsonl", json.dumps(line))
        columns = {"event_id": "id", "position": {"column": "object.rank", "offset": 1}, "query": "a.b"}
        assert [(row["position"], row["query"]) for row in read(tmp_path, columns=columns)] == [("1", "y")]

    def test_rows_that_are_not_ours_are_left_out_and_told(self, tmp_path):
        written(tmp_path, "e.csv", "id,action\n1,view\n2,scroll\n3,buy\n4,x,y\n")
        source = Read(settings(columns={"event_id": "id"}, only={"action": ["view", "buy"]}), tmp_path)
        rows = source.rows(day()).to_pylist()
        assert [(row["event_id"], row["damage"] is None) for row in rows] == [("1", True), ("3", True), (None, False)]
        assert "another action" in source.note

    @pytest.mark.parametrize(
        ("section", "said"),
        [
            ({"adapter": "tables"}, "needs events"),
            ({"adapter": "shop", "events": [{"files": ["{date:%Y}.csv"], "columns": {}}]}, "needs events"),
            ({"adapter": "tables", "events": [{"files": ["all.csv"], "columns": {}}]}, "every day would read the same"),
            (
                {"adapter": "tables", "events": [{"files": ["../{date:%Y}"], "columns": {}}]},
                "below the source's folder",
            ),
            ({"adapter": "tables", "events": [{"files": ["{day}.csv"], "columns": {}}]}, "only placeholder is the day"),
            ({"adapter": "tables", "events": [{"columns": {}}]}, "one of files and sql"),
            ({"adapter": "tables", "events": [{"files": ["{date:%Y}"], "columns": {"colour": "c"}}]}, "event_id"),
            (
                {"adapter": "tables", "events": [{"files": ["{date:%Y}"], "columns": {"at": {}}}]},
                "one of column, constant",
            ),
            ({"adapter": "tables", "events": [{"files": ["{date:%Y}"], "encoding": "utf-16", "columns": {}}]}, "comma"),
            ({"zone": "Berlin"}, "no time zone"),
            ({"path": "s3://key:secret@bucket/feed"}, "belong in the environment"),
        ],
    )
    def test_a_mapping_that_cannot_be_meant_is_refused(self, section, said):
        with pytest.raises(ValidationError, match=said):
            SourceSection.model_validate(section)


class TestBadInput:
    def test_values_that_look_like_others_stay_as_they_were_delivered(self, tmp_path):
        ids = ["007", "1e3", "0x1F", " 7", "null", "nan", "NA", "None", "", "12345678901234567890"]
        written(tmp_path, "e.csv", "id,q\n" + "".join(f"{name},{name}\n" for name in ids))
        assert values(read(tmp_path)) == values(read(tmp_path), "query") == ids

    def test_whole_numbers_beyond_what_a_float_holds_keep_their_digits(self, tmp_path):
        big = 2**63 + 1
        written(tmp_path, "a.jsonl", f'{{"id": {big}}}\n{{"id": {10**30 + 1}}}\n')
        written(tmp_path, "b.parquet", parquet(id=[2**53 + 1, None]))
        assert values(read(tmp_path)) == [str(big), str(10**30 + 1), str(2**53 + 1), None]

    def test_ids_that_became_floats_are_mended_where_they_can_be_and_refused_where_digits_are_lost(self, tmp_path):
        assert values(read(written(tmp_path, "e.parquet", parquet(id=[7.0, None, float("nan")])))) == ["7", None, None]
        with pytest.raises(BadData, match=r"lost digits.*id as double"):
            read(written(tmp_path, "e.parquet", parquet(id=[float(2**60)])))

    def test_a_comma_too_many_damages_its_row_and_no_other(self, tmp_path):
        lines = [f"{n},{AT},shoe{',red' if n % 100 == 50 else ''}" for n in range(1000)]
        rows = read(written(tmp_path, "e.csv", "id,time,q\n" + "\n".join(lines)))
        assert len(rows) == 1000
        damaged = {row["source_row"]: row["damage"] for row in rows if row["damage"]}
        assert list(damaged) == [n + 2 for n in range(50, 1000, 100)]
        assert damaged[52].startswith("4 values where the header has 3 columns: 50,")

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            ('30,,"27 inch', "60,,plain"),
            ('30,,"27 inch', '60,,"32 inch'),
            ('30,,"27 inch', '60,,32"'),
            ('30,,"27 inch', '60,,"32, wide"'),
        ],
        ids=["never closed", "closed by the next one", "closed at a value's end", "closed by a quoted value"],
    )
    def test_a_quote_that_is_not_closed_takes_no_row_with_it(self, tmp_path, first, last):
        lines = [f"{n},,shoe {n}" for n in range(100)]
        lines[30], lines[60] = first, last
        rows = read(written(tmp_path, "e.csv", "id,time,q\n" + "\n".join(lines) + "\n"))
        whole = {row["event_id"] for row in rows if not row["damage"]}
        assert len(rows) == 100
        assert {str(n) for n in range(100)} - whole <= {"30", "60"}

    def test_quotes_line_ends_and_commas_inside_values_stay_in_them(self, tmp_path):
        text = 'id,time,q\r\n1,,"two\r\nlines, ""quoted"""\r\n2,,5" wide\r\n3,,"a\nb\nc"\r\n'
        assert values(read(written(tmp_path, "e.csv", text)), "query") == [
            'two\r\nlines, "quoted"',
            '5" wide',
            "a\nb\nc",
        ]

    def test_quotes_that_are_signs_like_all_others_are_read_when_the_recipe_says_so(self, tmp_path):
        written(tmp_path, "e.tsv", "id\tq\n" + "\n".join(f'{n}\t"{n} inch' for n in range(100)))
        assert all(row["damage"] for row in read(tmp_path))
        rows = read(tmp_path, quoted=False)
        assert (len(rows), rows[7]["query"], rows[7]["damage"]) == (100, '"7 inch', None)

    def test_semicolons_and_decimal_commas_are_read_when_the_recipe_says_so_and_named_when_not(self, tmp_path):
        written(tmp_path, "e.csv", "id;q\n1;3,5\n")
        columns = {"event_id": "id", "value": {"column": "q", "decimal": ","}}
        assert values(read(tmp_path, columns=columns, delimiter=";"), "value") == ["3.5"]
        with pytest.raises(BadData, match=r"has one column.*seen 'id;q'.*delimiter"):
            read(tmp_path, columns=columns)

    def test_a_mark_a_zero_byte_and_another_encoding(self, tmp_path):
        written(tmp_path, "a.csv", b"\xef\xbb\xbfid,q\n1,a\0b\n")
        assert values(read(tmp_path), "query") == ["a\0b"]
        written(tmp_path, "a.csv", "id,q\n1,café €\n".encode("cp1252"))
        assert values(read(tmp_path, encoding="cp1252"), "query") == ["café €"]

    @pytest.mark.parametrize("name", ["e.csv", "e.jsonl"])
    def test_one_line_in_another_encoding_is_named(self, tmp_path, name):
        good = {"e.csv": ["id,q", "1,café"], "e.jsonl": ['{"id": 1}', '{"id": "é"}']}[name]
        data = "\n".join(good).encode() + "\n3,é".encode("latin-1")
        with pytest.raises(BadData, match=rf"{name} is not UTF-8.*line 3: byte 0xe9"):
            read(written(tmp_path, name, data))

    def test_columns_may_be_called_like_keywords_and_stand_twice_where_nobody_reads_them(self, tmp_path):
        written(tmp_path, "e.csv", "select,at,order,order\n1,x,2,3\n")
        assert values(read(tmp_path, columns={"event_id": "select", "query": "at"}), "query") == ["x"]
        with pytest.raises(BadData, match="has the column order twice"):
            read(tmp_path, columns={"event_id": "order"})

    def test_a_key_may_come_first_in_line_thirty_thousand(self, tmp_path):
        lines = [json.dumps({"id": n}) for n in range(29_999)] + ['{"id": 1, "late": "here"}']
        rows = read(written(tmp_path, "e.jsonl", "\n".join(lines)), columns={"event_id": "id", "query": "late"})
        assert (len(rows), rows[0]["query"], rows[-1]["query"]) == (30_000, None, "here")

    def test_a_day_is_streamed_in_batches(self, tmp_path):
        count = 2 * RECORDS_A_BATCH + 5
        lines = "\n".join(json.dumps({"id": n}) for n in range(count))
        assert values(read(written(tmp_path, "e.jsonl", lines))) == [str(n) for n in range(count)]

    @pytest.mark.parametrize(
        "line", ["1" * 5000, "[" * 100_000, '{"id": 1', "[1]"], ids=["long", "deep", "cut", "list"]
    )
    def test_a_line_that_is_no_object_is_bad_data(self, tmp_path, line):
        with pytest.raises(BadData, match="line 2"):
            read(written(tmp_path, "e.jsonl", f'{{"id": 1}}\n{line}'))

    def test_a_line_without_end_is_bad_data(self, tmp_path):
        with pytest.raises(BadData, match="line 1 is longer"):
            read(written(tmp_path, "e.jsonl", b" " * (5 << 20)))

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("e.parquet", parquet(id=[str(n) for n in range(1000)])),
            ("e.csv.gz", gzip.compress(CSV * 100, mtime=0)),
            ("e.tar.gz", tarred("w:gz", a_csv=os.urandom(4096))),
            ("e.zip", zipped(a_csv=CSV * 100)),
        ],
    )
    def test_a_file_that_is_cut_in_half_is_bad_data(self, tmp_path, name, data):
        with pytest.raises(BadData, match="is cut or broken"):
            read(written(tmp_path, name, data[: len(data) // 2]))

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("e.csv.gz", gzip.compress(b"id\n" + b"1\n" * 2_000_000, mtime=0)),
            ("e.zip", zipped(a_csv=b"id\n" + b"1\n" * 2_000_000)),
            ("e.tar.gz", tarred("w:gz", a_csv=b"id\n" + b"1\n" * 2_000_000)),
            ("e.parquet", parquet(id=pa.repeat("1" * 100, 200_000))),
        ],
    )
    def test_an_archive_that_unpacks_to_too_much_is_refused(self, tmp_path, name, data):
        assert len(data) < 100_000
        with pytest.raises(BadData, match=r"unpack to more than they may.*at most 0\.002 GB.*max_unpacked_gb"):
            read(written(tmp_path, name, data), source={"max_unpacked_gb": 0.002})

    def test_a_file_of_no_known_format_is_named(self, tmp_path):
        with pytest.raises(BadData, match=r"e\.xlsx is of no known format"):
            read(written(tmp_path, "e.xlsx", b"PK"))

    def test_a_source_that_changes_while_it_is_read_is_not_taken(self, tmp_path, monkeypatch):
        written(tmp_path, "e.jsonl", LINES)
        pinned = pin_source(settings(source={"path": str(tmp_path)}), day(), tmp_path)
        source = open_source(settings(), tmp_path.as_uri())
        for changed in (LINES + LINES, b"{"):
            written(tmp_path, "e.jsonl", changed)
            (tmp_path / "out").mkdir(exist_ok=True)
            with pytest.raises(PermanentError, match="changed after it was pinned"):
                deliver_pinned(source, pinned, day(), tmp_path / "out")

    @pytest.mark.parametrize("name", ["e.jsonl", "e.parquet"])
    def test_a_disk_that_fills_is_told_as_such(self, tmp_path, name):
        noise = [os.urandom(50).hex() for _ in range(40_000)]
        data = parquet(id=noise) if name.endswith("parquet") else "\n".join(json.dumps({"id": n}) for n in noise)
        source = open_source(settings(), written(tmp_path, name, data).as_uri())
        (tmp_path / "out").mkdir()
        before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        try:
            with pytest.raises(StoreFull, match="free space"):
                source.deliver(day(), tmp_path / "out")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
