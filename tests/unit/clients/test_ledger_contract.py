import json
import subprocess
import sys

import pytest

from fakes.fake_clock import FakeClock
from fakes.memory_store import MemoryStore
from recflow.artifacts.ledger import GENESIS_HASH, EventKind, LedgerEvent
from recflow.clients.ledger import ObjectLedger
from recflow.clients.local_store import LocalStore
from recflow.errors import ArtifactCorrupt, LedgerConflict, ReleaseRefused, StoreUnavailable

LINE = "search_relevance"


def freeze(reason: str = "holiday") -> LedgerEvent:
    return LedgerEvent(kind=EventKind.FROZEN, reason=reason)


@pytest.fixture(params=["on_memory_fake", "on_local", "on_s3_on_moto_double"])
def store(request, tmp_path):
    if request.param == "on_memory_fake":
        return MemoryStore()
    return LocalStore(tmp_path / "store") if request.param == "on_local" else request.getfixturevalue("s3_store")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ledger(store, clock):
    return ObjectLedger(store, clock)


def grow(ledger: ObjectLedger, count: int) -> None:
    for number in range(count):
        ledger.append(LINE, freeze(f"reason {number}"), after=ledger.head(LINE))


def test_an_empty_ledger_has_no_head(ledger):
    assert ledger.head(LINE) is None
    assert list(ledger.entries(LINE)) == []


def test_an_appended_event_is_the_head_with_its_state(ledger, clock):
    entry = ledger.append(LINE, freeze(), after=None, actor="ada")
    assert ledger.head(LINE) == entry
    assert (entry.seq, entry.at, entry.actor, entry.prev_hash) == (1, clock.now(), "ada", GENESIS_HASH)
    assert (entry.state.seq, entry.state.frozen) == (1, "holiday")


def test_the_head_stays_the_newest_beyond_ten_entries(ledger):
    grow(ledger, 12)
    assert ledger.head(LINE).seq == 12


def test_entries_come_newest_first_and_each_names_the_one_before(ledger):
    grow(ledger, 4)
    entries = list(ledger.entries(LINE))
    assert [entry.seq for entry in entries] == [4, 3, 2, 1]
    assert [entry.prev_hash for entry in entries] == [*(entry.hash for entry in entries[1:]), GENESIS_HASH]


def test_recipes_have_ledgers_of_their_own(ledger):
    grow(ledger, 2)
    assert ledger.head("other") is None
    with pytest.raises(ReleaseRefused):
        ledger.append("other", freeze(), after=ledger.head(LINE))


def test_whoever_has_read_an_older_head_is_refused(ledger):
    first = ledger.append(LINE, freeze(), after=None)
    ledger.append(LINE, freeze(), after=first)
    for stale in (None, first):
        with pytest.raises(LedgerConflict):
            ledger.append(LINE, freeze(), after=stale)
    assert ledger.head(LINE).seq == 2


def test_an_event_that_the_state_forbids_leaves_no_entry(ledger):
    with pytest.raises(ReleaseRefused):
        ledger.append(LINE, LedgerEvent(kind=EventKind.MOVED, release_id="r", to="shadow"), after=None)
    assert ledger.head(LINE) is None


def test_a_clock_that_was_set_back_does_not_turn_time(ledger, clock):
    first = ledger.append(LINE, freeze(), after=None)
    clock.tick(-3600)
    assert ledger.append(LINE, freeze(), after=first).at == first.at


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_a_changed_entry_is_found_wherever_it_stands(store, ledger, victim):
    grow(ledger, 3)
    key = store.list(f"{LINE}/ledger/")[3 - victim]
    store.put(key, store.get(key).replace(b"reason", b"raisin"))
    with pytest.raises(ArtifactCorrupt, match="broken"):
        list(ledger.entries(LINE))


@pytest.mark.parametrize("victim", [1, 2])
def test_an_entry_that_was_rewritten_with_its_hash_does_not_fit_its_successor(store, ledger, victim):
    other = ObjectLedger(MemoryStore(), FakeClock())
    grow(ledger, 3)
    grow(other, victim - 1)
    forged = other.append(LINE, freeze("forged"), after=other.head(LINE))
    key = store.list(f"{LINE}/ledger/")[3 - victim]
    store.put(key, json.dumps({**forged.model_dump(mode="json"), "hash": forged.hash}).encode())
    with pytest.raises(ArtifactCorrupt):
        list(ledger.entries(LINE))


@pytest.mark.parametrize("victim", [1, 2])
def test_an_entry_that_was_removed_is_missed(store, ledger, victim):
    grow(ledger, 3)
    store.delete(store.list(f"{LINE}/ledger/")[3 - victim])
    with pytest.raises(ArtifactCorrupt):
        list(ledger.entries(LINE))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"hash": ""}', b"\xff"])
def test_a_head_that_is_no_entry_is_corrupt(store, ledger, content):
    grow(ledger, 1)
    store.put(store.list(f"{LINE}/ledger/")[0], content)
    with pytest.raises(ArtifactCorrupt):
        ledger.head(LINE)


def test_a_lost_answer_is_met_by_reading_again():
    store = MemoryStore()
    ledger = ObjectLedger(store, FakeClock())
    put = store.put

    def lose_the_answer(*arguments, **options):
        put(*arguments, **options)
        raise StoreUnavailable("the answer was lost")

    store.put = lose_the_answer
    with pytest.raises(StoreUnavailable):
        ledger.append(LINE, freeze(), after=None)
    store.put = put
    assert ledger.head(LINE).event == freeze()
    with pytest.raises(LedgerConflict):
        ledger.append(LINE, freeze(), after=None)


def test_the_hash_does_not_depend_on_fields_that_came_later(ledger):
    grow(ledger, 1)
    entry = ledger.head(LINE)
    later = type("LaterEntry", (type(entry),), {"__annotations__": {"added": str}, "added": "default"})
    assert later.model_validate_json(entry.model_dump_json()).hash == entry.hash


RACER = """
import sys
from pathlib import Path
from recflow.artifacts.ledger import EventKind, LedgerEvent
from recflow.clients.clock import SystemClock
from recflow.clients.ledger import ObjectLedger
from recflow.clients.local_store import LocalStore
from recflow.errors import LedgerConflict

ledger = ObjectLedger(LocalStore(Path(sys.argv[1])), SystemClock(), actor=sys.argv[2])
done = 0
sys.stdin.read()
while done < 3:
    event = LedgerEvent(kind=EventKind.FROZEN, reason=f"{sys.argv[2]}-{done}")
    try:
        ledger.append("line", event, after=ledger.head("line"))
        done += 1
    except LedgerConflict:
        continue
"""


@pytest.mark.timeout(240)
def test_eight_processes_append_without_losing_an_event(tmp_path):
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), f"racer{number}"], stdin=subprocess.PIPE)
        for number in range(8)
    ]
    for racer in racers:
        racer.stdin.close()
    assert [racer.wait() for racer in racers] == [0] * 8
    entries = list(ObjectLedger(LocalStore(tmp_path), FakeClock()).entries("line"))
    assert [entry.seq for entry in entries] == list(range(24, 0, -1))
    assert {entry.event.reason for entry in entries} == {f"racer{n}-{m}" for n in range(8) for m in range(3)}
