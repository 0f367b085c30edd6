import pytest

from benchmarks.leave_one_out import read_sequences, write_dataset
from benchmarks.recommend_quality import measure
from recflow.errors import BadConfiguration, BadData
from recflow.tasks.recommend.catalogue import read_catalogue
from recflow.tasks.recommend.histories import read_histories


@pytest.fixture
def sequences(tmp_path):
    (tmp_path / "file.txt").write_text("1 c a b d\n\n2 a b\n3 d c a\n")
    return read_sequences(tmp_path / "file.txt")


@pytest.mark.parametrize(
    ("split", "items", "targets"),
    [
        ("train", "cad", [True, True, True]),
        ("validation", "cabdc", [False, False, True, False, True]),
        ("test", "cabddca", [False, False, False, True, False, False, True]),
    ],
)
def test_the_last_item_is_the_test_the_one_before_it_the_validation(sequences, split, items, targets, tmp_path):
    write_dataset(sequences, tmp_path / "dataset")
    catalogue = read_catalogue(tmp_path / "dataset")
    found = read_histories(tmp_path / "dataset", split, catalogue, ())
    assert "".join(catalogue.ids[code].as_py() for code in found.items) == items
    assert found.targets.tolist() == targets
    assert not found.seconds.any()


def test_only_what_trains_counts_as_popular(sequences, tmp_path):
    write_dataset(sequences, tmp_path / "dataset")
    assert read_catalogue(tmp_path / "dataset").interactions.tolist() == [1, 0, 1, 1]


def test_an_item_that_comes_again_is_seen_where_it_is_no_test_item(tmp_path):
    for name, lines in (("again", "1 a b a c\n"), ("last", "1 a b c a\n")):
        (tmp_path / name).write_text(lines)
    assert read_sequences(tmp_path / "again").repeat
    assert not read_sequences(tmp_path / "last").repeat


def test_a_file_without_sequences_is_told(tmp_path):
    (tmp_path / "file.txt").write_text("1 a\n")
    with pytest.raises(BadData, match=r"file\.txt has no user"):
        read_sequences(tmp_path / "file.txt")


def test_without_the_data_it_is_said_which_variable_names_it(monkeypatch, tmp_path):
    monkeypatch.setenv("RECFLOW_DATA", str(tmp_path))
    with pytest.raises(BadConfiguration, match="RECFLOW_DATA"):
        measure()
