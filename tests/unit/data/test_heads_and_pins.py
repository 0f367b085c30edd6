from datetime import UTC, datetime

import pytest

from fakes.deliveries import day, recipe, write_csv
from fakes.memory_store import MemoryStore
from recflow.artifacts.refs import Ref, RefKind
from recflow.data.heads import HeadHistory
from recflow.data.pins import pin_partitions, pin_past, pin_source
from recflow.errors import BadData, LedgerConflict

NOW = datetime(2011, 2, 1, tzinfo=UTC)


def partition(number, rows=100):
    digest = f"{number:064x}"
    return Ref(kind=RefKind.PARTITION, uri=f"memory://store/p{number}", digest=digest, numbers={"rows_in": rows})


@pytest.fixture
def heads():
    return HeadHistory(MemoryStore(), "search")


def recorded(heads, days, rows=100):
    for number in range(days):
        heads.record(day(number), partition(number, rows), at=NOW)
    return heads


def pinned(heads, number, trained_through=None, evaluation_days=2, **split):
    settings = recipe(split={"evaluation_days": evaluation_days, **split})
    return [int(ref.digest, 16) for ref in pin_partitions(settings, day(number), trained_through, heads)]


def test_recording_the_current_partition_again_adds_nothing(heads):
    first = heads.record(day(), partition(1), at=NOW)
    assert heads.record(day(), partition(1), at=NOW) == first
    assert len(heads.history(day().label)) == 1


def test_a_newer_partition_becomes_current_and_the_old_one_stays_in_the_history(heads):
    heads.record(day(), partition(1), at=NOW)
    heads.record(day(), partition(2), at=NOW)
    assert [head.partition.digest for head in heads.history(day().label)] == [partition(1).digest, partition(2).digest]
    assert heads.current(day().label).seq == 2


def test_two_writers_at_once_do_not_overwrite_each_other(heads):
    heads.record(day(), partition(1), at=NOW)
    stale = HeadHistory(heads._store, "search")
    stale.current = lambda _label: None
    with pytest.raises(LedgerConflict):
        stale.record(day(), partition(2), at=NOW)


def test_without_a_parent_every_partition_is_pinned_oldest_first(heads):
    assert pinned(recorded(heads, 5), 4) == [0, 1, 2, 3, 4]


def test_a_backfill_pins_nothing_of_the_future(heads):
    assert pinned(recorded(heads, 5), 2) == [0, 1, 2]


def test_every_day_after_the_parents_is_pinned_so_that_a_rejected_day_is_not_lost(heads):
    assert pinned(recorded(heads, 9), 8, trained_through=day(3).end) == [4, 5, 6, 7, 8]


def test_the_evaluation_window_is_pinned_beside_the_new_day(heads):
    assert pinned(recorded(heads, 9), 8, trained_through=day(7).end, evaluation_days=4) == [5, 6, 7, 8]


def test_the_days_before_the_evaluation_window_are_pinned_where_a_line_asks_for_them(heads):
    assert pinned(recorded(heads, 9), 8, trained_through=day(7).end, history_days=3) == [4, 5, 6, 7, 8]


def test_a_split_without_history_has_the_key_that_it_had_before_there_was_one():
    assert "history_days" not in recipe().split.model_dump()
    assert recipe(split={"history_days": 3}).split.model_dump()["history_days"] == 3


def test_the_current_partition_of_a_day_is_the_one_that_is_pinned(heads):
    recorded(heads, 2)
    heads.record(day(0), partition(77), at=NOW)
    assert pinned(heads, 1) == [77, 1]


def test_nothing_to_pin_is_bad_data(heads):
    with pytest.raises(BadData, match="no partition up to"):
        pinned(heads, 0)


class TestPinSource:
    def pin(self, tmp_path):
        write_csv(tmp_path / "pairs", ["1,q,t,d,1,0"])
        return pin_source(recipe("crowdflower", "pairs"), day(), tmp_path)

    def test_the_source_is_pinned_by_its_folder_and_its_bytes(self, tmp_path):
        ref = self.pin(tmp_path)
        assert (ref.kind, ref.uri) == (RefKind.SOURCE, (tmp_path / "pairs").as_uri())
        assert ref.digest == self.pin(tmp_path).digest


class TestPinPast:
    def pin(self, heads, number, days):
        settings = recipe(data={"recent": {"days": days}})
        return [int(ref.digest, 16) for ref in pin_past(settings, day(number), heads)]

    def test_the_past_of_a_day_are_the_partitions_of_so_many_days_before_it(self, heads):
        assert self.pin(recorded(heads, 9), 7, days=3) == [4, 5, 6]

    def test_days_that_are_missing_are_not_made_up_for_by_older_ones(self, heads):
        for number in (0, 1, 5):
            heads.record(day(number), partition(number), at=NOW)
        assert self.pin(heads, 6, days=3) == [5]

    def test_the_first_day_has_no_past(self, heads):
        assert self.pin(heads, 0, days=3) == []
