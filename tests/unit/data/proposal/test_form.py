"""How a sample's files are written is found out, and what is no table of records is refused without its values."""

import gzip
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recflow.data.proposal.form import form_of
from recflow.data.proposal.sample import pattern_of, read_sample
from recflow.errors import BadConfiguration, BadData


@pytest.fixture
def file(tmp_path):
    def file(content, name="events.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


class TestForms:
    @pytest.mark.parametrize(
        ("content", "options"),
        [
            ("id,sku,q\n1,a,red shoe\n2,b,blue\n", {}),
            ("id;sku;price\n1;a;1,50\n2;b;2,75\n", {"delimiter": ";"}),
            ("id\tsku\n1\ta, b\n2\tc, d\n", {"delimiter": "\t"}),
            ('id,sku\n1,"a, with ""quotes"""\n2,"two\nlines"\n', {}),
            ('id,sku\n1,"good" rack\n2,a "good" one\n3,"big" screen\n', {"quoted": False}),
            ("id,sku\n1,Größe\n".encode("cp1252"), {"encoding": "cp1252"}),
            ("id,sku\n1,运动鞋\n".encode("gb18030"), {"encoding": "gb18030"}),
            (b"\xef\xbb\xbfid,sku\n1,a\n", {}),
        ],
    )
    def test_csv_is_read_as_it_is_written(self, file, content, options):
        form = form_of(file(content))
        assert (form.format, form.options) == ("csv", options)
        assert form.columns[:2] == ("id", "sku")

    def test_a_first_column_without_a_name_is_left_out(self, file):
        assert form_of(file(",id,sku\n0,1,a\n1,2,b\n")).columns == ("id", "sku")

    def test_keys_inside_objects_are_columns_whichever_line_has_them(self, file):
        form = form_of(file('{"id": 1}\n{"id": 2, "item": {"sku": "a", "size": {"eu": 42}}}\n', "events.jsonl"))
        assert form.columns == ("id", "item.sku", "item.size.eu")

    def test_parquet_has_its_columns_but_nested_ones(self, tmp_path):
        table = pa.table({"id": [1], "tags": [["a"]], "sku": ["b"]})
        pq.write_table(table, tmp_path / "events.parquet")
        assert form_of(tmp_path / "events.parquet").columns == ("id", "sku")

    def test_a_name_that_says_nothing_is_told_by_the_content_and_stands_in_the_recipe(self, file):
        assert form_of(file('{"id": 1}\n', "export")).options == {"format": "jsonl"}
        assert form_of(file("id,sku\n1,a\n", "export.txt")).options == {"format": "csv"}

    def test_archives_are_opened(self, tmp_path):
        with gzip.open(tmp_path / "events.csv.gz", "wb") as stream:
            stream.write(b"id,sku\n1,a\n")
        with zipfile.ZipFile(tmp_path / "events.zip", "w") as zipped:
            zipped.writestr("events.csv", "id;sku\n1;a\n")
        assert form_of(tmp_path / "events.csv.gz").columns == ("id", "sku")
        assert form_of(tmp_path / "events.zip").options == {"delimiter": ";"}

    @pytest.mark.parametrize(
        ("content", "name", "told"),
        [
            ("", "events.csv", "is empty"),
            ("  \n\n", "events.csv", "is empty"),
            (bytes(range(256)) * 20, "events.csv", "is no text"),
            ("\x00\x01" * 50, "events.jsonl", "is no text"),
            ("id,sku\n", "events.csv", "has no rows"),
            ("17,2011-01-04,ada@example.com\n18,2011-01-05,bob@example.com\n", "events.csv", "has no header"),
            ("lamp,blue,view\nshoe,red,view\n", "events.csv", "has no header"),
            ("ada@example.com,bob@example.com\nx,y\n", "events.csv", "has no header"),
            ("id,id\n1,2\n", "events.csv", "has the column id twice"),
            ('[\n {"id": 1}\n]\n', "events.json", "is not JSON lines"),
            ("PAR1 and no more", "events.parquet", "is cut or broken"),
            (b"\x1f\x8b no gzip", "events.csv.gz", "is cut or broken"),
        ],
    )
    def test_what_is_no_table_of_records_is_refused(self, file, content, name, told):
        with pytest.raises(BadData, match=told) as refusal:
            form_of(file(content, name))
        assert "example.com" not in str(refusal.value)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "pattern"),
        [
            ("events/2011-01-04.csv", "events/{date:%Y-%m-%d}.csv"),
            ("20110104/part.csv", "{date:%Y%m%d}/part.csv"),
            ("clicks-12345678.csv", "clicks-*.csv"),
            ("part-00001.csv", "part-*.csv"),
            ("{odd}[1].csv", "{{odd}}?*].csv"),
        ],
    )
    def test_the_day_in_a_name_is_a_placeholder_and_other_numbers_are_stars(self, name, pattern):
        assert pattern_of(name, alone=False) == pattern

    def test_a_file_that_is_alone_keeps_its_name(self):
        assert pattern_of("export7.csv", alone=True) == "export7.csv"

    def test_of_a_folder_the_commonest_files_are_read_and_the_others_told(self, file, tmp_path):
        for day in ("01", "02", "03"):
            file("id,sku\n1,a\n", f"shop/2011-01-{day}.csv")
        file("id,name\n1,b\n", "shop/catalogue.csv")
        file("", "shop/_SUCCESS")
        sample = read_sample(tmp_path / "shop")
        assert (sample.pattern, sample.rows, sample.left_out) == ("{date:%Y-%m-%d}.csv", 3, ("catalogue.csv",))

    def test_records_that_cannot_be_told_apart_are_counted(self, file):
        sample = read_sample(file("id,sku\n1,a\n2,b,c\n3,d\n"))
        assert (sample.rows, sample.damaged, sample.columns["id"]) == (3, 1, ["1", "3"])

    def test_a_folder_without_data_and_a_path_without_anything_are_no_samples(self, tmp_path):
        for path in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(BadConfiguration, match="has no sample"):
                read_sample(path)
