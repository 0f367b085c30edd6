from datetime import UTC

import numpy as np
import pytest

from fakes.stored_histories import BEGIN, acts, write_dataset
from recflow.errors import BadData
from recflow.tasks.recommend.catalogue import read_catalogue
from recflow.tasks.recommend.histories import read_countries, read_histories


def read(folder, splits, split="train", **options):
    dataset = write_dataset(folder, splits, **options)
    catalogue = read_catalogue(dataset)
    return catalogue, read_histories(dataset, split, catalogue, read_countries(dataset, split))


def test_acts_stand_by_user_and_time_however_they_are_stored(tmp_path):
    rows = [*acts("b", ["x", "y"]), *acts("a", ["z", "x", "x"])]
    catalogue, found = read(tmp_path, {"train": rows[::-1]})
    assert [catalogue.ids[code].as_py() for code in found.items] == ["z", "x", "x", "x", "y"]
    assert found.offsets.tolist() == [0, 3, 5]
    assert found.users.tolist() == [0, 0, 0, 1, 1]


def test_acts_of_one_moment_stand_by_their_items(tmp_path):
    rows = acts("a", ["z", "x", "y"], every_hours=0)
    assert read(tmp_path, {"train": rows})[1].items.tolist() == [0, 1, 2]


def test_ids_that_differ_by_case_or_trailing_space_are_different_items_and_users(tmp_path):
    _, found = read(tmp_path, {"train": [*acts("u", ["x", "X", "x "]), *acts("U", ["x"]), *acts("u ", ["x"])]})
    assert len(set(found.items.tolist())) == 3
    assert sorted(found.lengths.tolist()) == [1, 1, 3]


def test_times_countries_and_targets_are_told_of_each_act(tmp_path):
    rows = [*acts("a", ["x", "y"], history=1, country="NL"), *acts("b", ["x"]), *acts("c", ["x"], country="BE")]
    _, found = read(tmp_path, {"validation": rows}, "validation")
    assert found.seconds[1] - found.seconds[0] == 3600
    assert found.seconds[0] == BEGIN.replace(tzinfo=UTC).timestamp()
    assert found.countries.tolist() == [2, 2, 0, 1]
    assert found.targets.tolist() == [False, True, True, True]


def test_order_without_times_is_told_by_microseconds(tmp_path):
    rows = [(user, item, np.datetime64(place, "us").item(), "", 1) for place, (user, item) in enumerate(["ab", "aa"])]
    _, found = read(tmp_path, {"train": rows})
    assert (found.items.tolist(), found.seconds.tolist()) == ([1, 0], [0, 0])


def test_a_split_without_rows_has_no_users(tmp_path):
    _, found = read(tmp_path, {"train": acts("a", ["x"])}, "validation")
    assert len(found) == 0


def test_an_empty_catalogue_is_told(tmp_path):
    with pytest.raises(BadData, match="the catalogue is empty"):
        read(tmp_path, {})


def test_a_split_that_is_not_there_is_told(tmp_path):
    dataset = write_dataset(tmp_path, {"train": acts("a", ["x"])})
    with pytest.raises(BadData, match="no split shown"):
        read_histories(dataset, "shown", read_catalogue(dataset), ())
