"""What the log on disk promises beyond its seam: locks, rotation, torn lines, full disks, two compactions at once."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fakes.fake_clock import FakeClock
from fakes.sample_events import NOON, RECIPE, comparison, exposure, outcome
from recflow.artifacts.digests import digest_json
from recflow.clients.event_log import DuckEventLog
from recflow.clients.segments import Segment
from recflow.domain import matching
from recflow.errors import StoreFull, StoreUnavailable

WINDOW = (NOON - timedelta(days=1), NOON + timedelta(days=1))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "events"


@pytest.fixture
def log(folder, clock):
    log = DuckEventLog(folder, clock)
    yield log
    log.close()


def ids(log):
    return log.exposures(RECIPE, *WINDOW)["request_id"].to_pylist()


def segments(folder):
    return sorted((folder / "segments").glob("*.jsonl"))


def write_and_close(folder, clock, *records):
    log = DuckEventLog(folder, clock)
    log.append("w", records)
    log.close()
    return segments(folder)[-1]


def test_a_torn_last_line_is_skipped_and_counted(log, folder, clock):
    path = write_and_close(folder, clock, exposure("whole"), exposure("torn"))
    path.write_bytes(path.read_bytes()[:-40])
    assert ids(log) == ["whole"]
    assert (log.compact(), log.torn, ids(log)) == (1, 1, ["whole"])


def test_bytes_that_are_no_text_are_skipped_and_counted(log, folder, clock):
    path = write_and_close(folder, clock, exposure("whole"))
    path.write_bytes(b'\xff\xfe\x00\n{"exposure":{}}\n[1]\n' + path.read_bytes())
    assert (log.compact(), log.torn, ids(log)) == (1, 3, ["whole"])


def test_a_segment_of_a_live_writer_is_left_alone(log, folder):
    log.append("w", [exposure("r-1")])
    assert DuckEventLog(folder, FakeClock()).compact() == 0
    assert ids(log) == ["r-1"]


def test_a_segment_of_a_killed_writer_is_taken(log, folder):
    code = (
        "import os, signal, sys; from pathlib import Path; from fakes.fake_clock import FakeClock;"
        "from fakes.sample_events import exposure; from recflow.clients.event_log import DuckEventLog;"
        "DuckEventLog(Path(sys.argv[1]), FakeClock()).append('w', [exposure('r-1')]);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run([sys.executable, "-c", code, str(folder)], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert (ids(log), log.compact(), ids(log), segments(folder)) == (["r-1"], 1, ["r-1"], [])


def test_a_segment_ends_at_its_size_and_at_its_age(folder, clock):
    log = DuckEventLog(folder, clock, max_bytes=1, max_age_s=60)
    log.append("w", [exposure("r-1")])
    log.append("w", [exposure("r-2")])
    assert len(segments(folder)) == 2
    aged = DuckEventLog(folder, clock, max_age_s=60)
    aged.append("w", [exposure("r-3")])
    clock.tick(59)
    aged.append("w", [exposure("r-4")])
    clock.tick(1)
    aged.append("w", [exposure("r-5")])
    assert len(segments(folder)) == 4
    assert sorted(ids(log)) == ["r-1", "r-2", "r-3", "r-4", "r-5"]
    log.close()
    aged.close()


def test_workers_have_their_own_segments(log, folder):
    log.append("one", [exposure("r-1")])
    log.append("two", [outcome("o-1")])
    assert [path.name.split("-")[0] for path in segments(folder)] == ["one", "two"]


def test_a_compaction_interrupted_before_the_segment_goes_changes_nothing(log, folder, clock):
    path = write_and_close(folder, clock, exposure("r-1"), outcome("o-1"))
    kept = path.read_bytes()
    assert log.compact() == 2
    path.write_bytes(kept)
    assert ids(log) == ["r-1"]
    assert (log.compact(), ids(log), log.outcomes(RECIPE, *WINDOW).num_rows) == (2, ["r-1"], 1)


def fact_counts(log):
    with log.facts(RECIPE, *WINDOW) as facts:
        return facts.execute("select (select count(*) from shown), count(*), max(nth) from acted").fetchall()[0]


def test_facts_are_one_a_record_while_a_segment_and_its_parquet_are_both_there(log, folder, clock):
    path = write_and_close(folder, clock, exposure("r-1"), outcome("o-1"))
    kept = path.read_bytes()
    log.compact()
    path.write_bytes(kept)
    assert fact_counts(log) == (1, 1, 1)
    log.compact()
    assert fact_counts(log) == (1, 1, 1)


def test_an_act_on_an_answer_in_the_open_segment_of_another_worker_counts_at_compaction(log, folder, clock):
    log.append("w1", [exposure("r-1")])
    write_and_close(folder, clock, outcome("o-1"))
    assert log.compact() == 1
    assert fact_counts(log) == (1, 1, 1)


def test_facts_that_were_removed_are_made_again(log, folder, clock):
    write_and_close(folder, clock, exposure("r-1"), outcome("o-1"))
    log.compact()
    [removed] = folder.glob("facts/*/recipe=*/kind=outcome/day=*/*.parquet")
    removed.unlink()
    assert fact_counts(log) == (1, 1, 1)
    assert removed.exists()


def test_facts_are_complete_at_every_moment_of_a_compaction(log, folder, clock):
    for number in range(6):
        write_and_close(folder, clock, exposure(f"r-{number}"), outcome(f"o-{number}", request_id=f"r-{number}"))
    thread = threading.Thread(target=DuckEventLog(folder, clock).compact)
    thread.start()
    while thread.is_alive():
        assert fact_counts(log) == (6, 6, 1)
    thread.join()
    assert (fact_counts(log), segments(folder)) == ((6, 6, 1), [])


def days_ago(number, days, **changes):
    at = NOON - timedelta(days=days)
    shown = exposure(f"r-{number}", at=at, user_key=f"user-{number % 3}", **changes)
    bought = [
        outcome(f"o-{number}-{n}", request_id=shown.request_id, user_key=shown.user_key, at=at, kind=kind, value=value)
        for n, (kind, value) in enumerate([("click", 0), ("click", 0), ("purchase", 5), ("purchase", 7)])
    ]
    return shown, *bought


SEARCHED = "select user_hash, sum(searches) from searches_before group by all order by all"
ACTED = "select user_hash, kind, nth, value, sum(acts) from acts_before group by all order by all"


def told_before(log, start=NOON, **look_back):
    with log.facts(RECIPE, start, NOON + timedelta(days=1), look_back=timedelta(**(look_back or {"days": 4}))) as facts:
        return [facts.execute(sql).fetchall() for sql in (SEARCHED, ACTED)]


def compact_and_look(log):
    log.compact()
    return told_before(log)


def sums(folder):
    return sorted(folder.glob("sums/*/recipe=*/kind=*/*.parquet"))


def test_sums_tell_what_their_facts_tell(log, folder, clock):
    late = outcome("late", request_id="r-2", user_key="user-2", at=NOON - timedelta(days=1, hours=1), kind="cart")
    for number in range(6):
        write_and_close(folder, clock, *days_ago(number, number % 6), *([late] if number == 2 else []))
    looks = [
        (start, window)
        for start in (NOON, NOON - timedelta(hours=12), NOON - timedelta(hours=11, minutes=59))
        for window in ({"days": 3, "hours": 11}, {"hours": 5})
    ]
    rows = [told_before(log, start, **window) for start, window in looks]
    log.compact()
    for (start, window), told in zip(looks, rows, strict=True):
        assert [told_before(log, start, **window) for _ in range(2)] == [told, told]
    assert len(sums(folder)) == 6


def test_a_day_that_is_not_over_at_the_start_has_no_sums(log, folder, clock):
    write_and_close(folder, clock, exposure("r-1", at=NOON - timedelta(hours=1)))
    log.compact()
    assert told_before(log)[0][0][1] == 1
    assert sums(folder) == []


@pytest.mark.parametrize("kind", ["exposure", "outcome"])
def test_sums_are_what_the_next_look_reads(log, folder, clock, kind):
    write_and_close(folder, clock, *days_ago(1, 2))
    compact_and_look(log)
    next(folder.glob(f"sums/*/recipe=*/kind={kind}/*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(StoreUnavailable, match="could not be read"):
        told_before(log)


def test_a_later_day_leaves_the_sums_alone(log, folder, clock):
    write_and_close(folder, clock, *days_ago(1, 2))
    log.compact()
    told, made = told_before(log), sums(folder)
    write_and_close(folder, clock, exposure("r-2", at=NOON - timedelta(hours=1)))
    log.compact()
    assert told_before(log) != told
    assert sums(folder) == made


def test_a_segment_that_comes_late_counts_at_once_and_makes_the_sums_anew(log, folder, clock):
    write_and_close(folder, clock, *days_ago(1, 2))
    log.compact()
    told_before(log)
    old = sums(folder)
    write_and_close(folder, clock, *days_ago(4, 2))
    late = told_before(log)
    assert late[0][0][1] == 2
    assert sums(folder) == old
    log.compact()
    assert told_before(log) == late
    assert len(sums(folder)) == 4


@pytest.mark.parametrize("published", range(1, 7))
def test_a_file_that_could_not_be_written_changes_nothing(log, folder, clock, monkeypatch, published):
    write_and_close(folder, clock, *days_ago(1, 2))
    told = told_before(log)
    whole, left = Path.replace, iter(range(published - 1))

    def replace(path, target):
        if next(left, None) is None:
            raise OSError(errno.EIO, "killed here")
        return whole(path, target)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", replace)
        with pytest.raises(StoreUnavailable):
            compact_and_look(log)
    assert told_before(log) == told
    log.compact()
    assert (told_before(log), len(sums(folder))) == (told, 2)


def test_looks_back_are_the_same_at_every_moment_of_a_compaction(log, folder, clock):
    for number in range(6):
        write_and_close(folder, clock, *days_ago(number, 1 + number % 2))
    told = told_before(log)
    thread = threading.Thread(target=DuckEventLog(folder, clock).compact)
    thread.start()
    while thread.is_alive():
        assert told_before(log) == told
    thread.join()
    assert (told_before(log), len(sums(folder))) == (told, 2)


def test_a_compacted_file_and_its_name_are_on_the_disk_before_its_segment_goes(log, folder, clock, monkeypatch):
    path = write_and_close(folder, clock, exposure("r-1"))
    synced = []

    def fsync(file):
        parts = [part.name for part in folder.glob("parquet/**/*.parquet")]
        synced.append((Path(f"/dev/fd/{file}").is_dir(), parts, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    log.compact()
    assert synced[:2] == [(False, [], True), (True, [f"{path.stem}.parquet"], True)]


def test_a_log_that_cannot_be_opened_is_unavailable_for_readers_and_compactions(log, folder):
    (folder / "segments" / "w.jsonl").mkdir(parents=True)
    for act in (lambda: ids(log), log.compact):
        with pytest.raises(StoreUnavailable, match="could not be read"):
            act()


def test_a_segment_that_cannot_be_synced_leaves_no_file_open(folder, monkeypatch):
    folder.mkdir()
    segment = Segment(folder / "w.jsonl", NOON)

    def refuse(file):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no"):
        segment.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(segment._file)


COMPACT_AND_READ = """
import sys
from datetime import datetime
from pathlib import Path
from recflow.clients.clock import SystemClock
from recflow.clients.event_log import DuckEventLog
log = DuckEventLog(Path(sys.argv[1]), SystemClock())
log.compact()
window = [datetime.fromisoformat(moment) for moment in sys.argv[3:]]
print(*log.exposures(sys.argv[2], *window)["request_id"].to_pylist(), log.outcomes(sys.argv[2], *window).num_rows)
"""


def test_what_one_process_compacted_another_one_reads(log, folder, clock):
    write_and_close(folder, clock, exposure("r-1"), outcome("o-1"))
    command = [sys.executable, "-c", COMPACT_AND_READ, str(folder), RECIPE, *(moment.isoformat() for moment in WINDOW)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["r-1", "1"]
    assert segments(folder) == []
    assert (ids(log), log.outcomes(RECIPE, *WINDOW).num_rows) == (["r-1"], 1)
    assert len(list((folder / "parquet" / f"recipe={RECIPE}").glob("kind=exposure/day=*/*.parquet"))) == 1


def test_two_compactions_at_once_move_each_record_once_and_readers_always_see_all(log, folder, clock):
    for number in range(12):
        write_and_close(folder, clock, exposure(f"r-{number:02}"))
    moved, expected = [], [f"r-{number:02}" for number in range(12)]
    threads = [threading.Thread(target=lambda: moved.append(DuckEventLog(folder, clock).compact())) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert ids(log) == expected
    assert sum(moved) + log.compact() == 12
    assert (ids(log), segments(folder)) == (expected, [])


def test_a_full_disk_refuses_the_records_whole_and_the_log_goes_on_when_there_is_space(log):
    log.append("w", [exposure("r-1")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreFull):
            log.append("w", [exposure(f"lost-{number}") for number in range(20)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    log.append("w", [exposure("r-2")])
    log.close()
    assert ids(log) == ["r-1", "r-2"]
    assert (log.compact(), log.torn) == (2, 0)


def test_a_disk_too_full_for_facts_stops_no_look_and_loses_no_record(log, folder, clock, monkeypatch):
    write_and_close(folder, clock, exposure("r-1"), outcome("o-1"))

    def refuse(*_):
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as full:
        full.setattr("recflow.clients.event_facts.publish", refuse)
        with pytest.raises(StoreFull):
            log.compact()
        seen = counts(log)
    assert seen == counts(log) == (1, 1)


@pytest.mark.parametrize("tree", ["parquet", "facts"])
def test_a_parquet_file_that_is_spoilt_makes_the_log_unavailable_and_is_no_bug(log, folder, clock, tree):
    write_and_close(folder, clock, exposure("r-1"))
    log.compact()
    next((folder / tree).rglob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(StoreUnavailable, match="could not be read"):
        counts(log)


@pytest.mark.parametrize(
    "place", ["parquet/recipe=*", "parquet/recipe=*/kind=exposure", "facts/*/recipe=*/kind=exposure/day=*"]
)
def test_a_folder_that_cannot_be_listed_makes_the_log_unavailable_instead_of_empty(log, folder, clock, place):
    write_and_close(folder, clock, exposure("r-1"))
    log.compact()
    [found] = folder.glob(place)
    shutil.rmtree(found)
    found.write_text("no folder")
    with pytest.raises(StoreUnavailable):
        counts(log)


def test_facts_by_another_rule_are_not_read_and_made_anew(log, folder, clock):
    write_and_close(folder, clock, exposure("r-1"), outcome("o-1"))
    log.compact()
    made = folder / "facts" / f"v{matching.VERSION}"
    made.rename(made.with_name("v0"))
    assert fact_counts(log) == (1, 1, 1)
    assert len(list(made.rglob("*.parquet"))) == 2


def test_sums_by_another_rule_are_not_read_and_made_anew(log, folder, clock):
    write_and_close(folder, clock, *days_ago(1, 2))
    told = compact_and_look(log)
    made = folder / "sums" / f"v{matching.VERSION}"
    made.rename(made.with_name("v0"))
    for path in sums(folder):
        path.write_bytes(b"PAR1")
    assert told_before(log) == told
    assert len(list(made.rglob("*.parquet"))) == 2


def test_a_rule_of_matching_that_changed_has_a_new_version():
    parts = [getattr(matching, part) for part in ("VERSION", "SHOWN", "JUDGED", "KNOWN", "NONE_ACTED", "ACTED")]
    before = [rule("facts", NOON, timedelta(days=1)) for rule in (matching.searches_before, matching.acts_before)]
    rule = digest_json(parts + before)
    assert rule == "679b15c22cc5bdc85bb7685c0c1133c5e4895803e6a33532c498e5d4c25036da", (
        "raise VERSION in domain/matching.py, unless facts and sums stay the same"
    )


def counts(log):
    with log.facts(RECIPE, *WINDOW) as facts:
        return tuple(facts.execute(f"select count(*) from {name}").fetchone()[0] for name in ("shown", "acted"))


def test_what_was_written_is_synced_soon_after_without_anybody_asking(log):
    log.append("w", [exposure("r-1")])
    segment = log._writer._segments["w"]
    # Bounded by the test's own time limit: the half second itself is not judged.
    while segment._synced < segment.size:
        threading.Event().wait(0.01)
    assert segment.unsynced() is None


def test_of_an_erased_user_no_byte_is_left_once_the_gateway_has_finished_its_segment(log, folder):
    log.append("w", [comparison("c-1", query="a secret wish"), comparison("c-2", user_key="user-2")])
    assert log.erase_comparisons(RECIPE, ["user-1"]) == 1, "a live writer's segment is left alone, and told"
    assert log.comparisons(RECIPE, *WINDOW)["query"].to_pylist() == ["a secret wish", "red shoes"]
    log.close()
    assert log.erase_comparisons(RECIPE, ["user-1"]) == 0
    assert log.comparisons(RECIPE, *WINDOW)["query"].to_pylist() == ["", "red shoes"]
    rows = [pq.read_table(path).to_pylist() for path in folder.rglob("*.parquet")]
    assert rows
    assert "a secret wish" not in str(rows)
    assert segments(folder) == []
