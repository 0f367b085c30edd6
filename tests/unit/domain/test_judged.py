import datasets
import pytest

from fakes.small_models import judged_row, shop_rows, write_dataset
from recflow.domain.judged import judged_split, open_judged, read_judged
from recflow.errors import BadData


def columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def judged_queries(table, split):
    return list(judged_split(datasets.Dataset.from_dict(table), split))


def test_rows_are_grouped_by_query_in_their_order():
    found = judged_queries(columns(shop_rows(3, items=4)), "train")
    assert [len(query.titles) for query in found] == [4, 4, 4]
    assert found[0].query == "red shoe"


def test_a_data_set_comes_back_from_disk(tmp_path):
    rows = shop_rows(3)
    folder = write_dataset(tmp_path / "dataset", {"train": rows})
    assert read_judged(folder, "train") == judged_queries(columns(rows), "train")


@pytest.mark.parametrize("missing", ["grade", "title", "weight"])
def test_a_data_set_without_a_column_is_bad_data_that_names_it(missing):
    table = columns(shop_rows(2))
    del table[missing]
    with pytest.raises(BadData, match=f"no {missing}"):
        judged_queries(table, "train")


@pytest.mark.parametrize("grade", [None, 4.0, -1.0, float("nan")])
def test_a_row_without_a_proper_label_is_bad_data_that_names_it(grade):
    rows = [*shop_rows(1), judged_row("red shoe", "x", grade)]
    with pytest.raises(BadData, match="row 8 of split train"):
        judged_queries(columns(rows), "train")


def test_an_empty_split_is_bad_data():
    table = {name: [] for name in columns(shop_rows(1))}
    with pytest.raises(BadData, match="empty"):
        judged_queries(table, "train")


def test_a_split_that_may_be_empty_is_an_empty_list(tmp_path):
    folder = write_dataset(tmp_path / "dataset", {"train": shop_rows(1), "validation": []})
    assert read_judged(folder, "validation", required=False) == []
    with pytest.raises(BadData, match="validation"):
        read_judged(folder, "validation")


def test_a_missing_split_is_bad_data(tmp_path):
    folder = write_dataset(tmp_path / "dataset", {"train": shop_rows(1)})
    with pytest.raises(BadData, match="no split test"):
        read_judged(folder, "test")


def test_a_folder_that_is_no_data_set_is_bad_data(tmp_path):
    with pytest.raises(BadData):
        read_judged(tmp_path, "train")


def test_queries_are_found_by_place_by_slice_and_by_choice_wherever_their_rows_are(tmp_path):
    rows = shop_rows(5, items=4)
    mixed = [rows[place] for place in (0, 4, 8, 1, 5, 12, 2, 16, 9, 17, 3, 6, 10, 7, 11, 18, 13, 14, 15, 19)]
    found = open_judged(write_dataset(tmp_path / "dataset", {"train": mixed}), "train")
    whole = list(found)
    assert [query.query_id for query in whole] == list(dict.fromkeys(row["query_id"] for row in mixed))
    assert [query.titles for query in whole[:2]] == [tuple(row["title"] for row in rows[n : n + 4]) for n in (0, 4)]
    assert (len(found), found.items) == (5, 20)
    assert (found[-1], found[1:3], found[::2]) == (whole[-1], whole[1:3], whole[::2])
    chosen = found.only([3, 0])
    assert list(chosen) == [whole[3], whole[0]]
    assert [chosen.query_id(place) for place in range(2)] == [whole[3].query_id, whole[0].query_id]
    assert chosen.items == 8
    with pytest.raises(IndexError):
        found[5]


def test_a_query_whose_rows_lie_in_several_pieces_of_a_split_is_one():
    rows = shop_rows(6, items=4)
    parts = [rows[0:6], rows[6:15], rows[15:24], rows[:3]]
    pieces = datasets.concatenate_datasets([datasets.Dataset.from_dict(columns(part)) for part in parts])
    assert pieces.data["query_id"].num_chunks == 4
    whole = datasets.Dataset.from_dict(columns([*rows, *rows[:3]]))
    assert list(judged_split(pieces, "train")) == list(judged_split(whole, "train"))
    assert [len(query.titles) for query in judged_split(pieces, "train")] == [7, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("weight", [None, float("inf"), float("nan")])
def test_a_weight_that_is_no_number_is_named_with_its_row(weight):
    rows = shop_rows(1)
    rows[3]["weight"] = weight
    with pytest.raises(BadData, match="row 3 of split train"):
        judged_queries(columns(rows), "train")
