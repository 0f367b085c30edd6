"""A program that tells a million acts fills no memory: those of a user are read as those of many, a part at a time."""

import json
import os
import subprocess
import sys

from fakes.fake_clock import FakeClock
from fakes.shoppers import START, acted, shown
from recflow.artifacts.events import Arm, ShownItem
from recflow.clients.event_log import DuckEventLog

ITEMS = tuple(ShownItem(item_id=f"i{number}", position=number + 1, score=0) for number in range(100))
A_SEGMENT = 50_000
ANSWER, BESIDE = shown("program", Arm.TREATMENT, 0, items=ITEMS), shown("u", Arm.CONTROL, 1)
LOOK = """
import json, resource, sys
from datetime import timedelta
from pathlib import Path
from fakes.fake_clock import FakeClock
from fakes.shoppers import EXPERIMENT, START
from recflow.clients.event_log import DuckEventLog
from recflow.experiments.evidence import Design
from recflow.experiments.readers import read_evidence

log = DuckEventLog(Path(sys.argv[1]), FakeClock())
if sys.argv[2] == "compact":
    log.compact()
design = Design("shop_search", EXPERIMENT, START, timedelta(minutes=30))
seen = read_evidence(log, design, START + timedelta(hours=1))
worth = {name: seen.totals[f"{name}:purchase"].tolist() for name in ("count", "value")}
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({**worth, "matched": seen.matched, "peak_mb": peak_mb}))
"""


def write_acts(folder, acts):
    """Purchases under ids of their own on the hundred items of one answer, in finished segments."""
    log = DuckEventLog(folder, FakeClock(START))
    log.append("w", [acted(ANSWER, 5, "purchase", value=2.0, outcome_id="ACT", item_id="ITEM")])
    log.close()
    [first] = (folder / "segments").glob("*.jsonl")
    line = first.read_text()
    first.unlink()
    for low in range(0, acts, A_SEGMENT):
        with (folder / "segments" / f"w-{low:07}.jsonl").open("w") as segment:
            numbers = range(low, min(acts, low + A_SEGMENT))
            segment.writelines(line.replace("ACT", f"o-{n}").replace("ITEM", f"i{n % 100}") for n in numbers)
    log.append("w", [ANSWER, BESIDE])
    log.close()


def look(folder, how):
    command = [sys.executable, "-c", LOOK, str(folder), how]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=os.environ | paths, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def test_a_million_acts_of_one_user_are_a_hundred_items_and_fill_no_memory(tmp_path):
    peaks = {}
    for acts in (10_000, 1_000_000):
        folder = tmp_path / str(acts)
        write_acts(folder, acts)
        for how in ("compact", "look"):
            seen = look(folder, how)
            peaks[acts, how] = seen.pop("peak_mb")
            assert seen == {"count": [100, 0], "value": [2000, 0], "matched": acts}
    assert peaks[1_000_000, "look"] < peaks[10_000, "look"] + 128, peaks
    assert peaks[1_000_000, "compact"] < peaks[10_000, "compact"] + 300, peaks
