"""The simulator: its click model, its determinism, and that its reports carry what they are."""

import asyncio
import itertools
import random
from dataclasses import replace

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.gateway_world import HALVES, RECIPE
from recflow.config.sections.outcomes import OutcomeKind, OutcomeMetric, OutcomesSection
from recflow.errors import BadConfiguration, BadData
from recflow.gateway.click_model import acts, attraction
from recflow.gateway.replay import ArmNumbers, JudgedItem, JudgedSearch, ReplayPlan, read_judged, replay, visits

SEARCHES = [
    JudgedSearch(query, tuple(JudgedItem(f"{query}-{n}", f"{query} {n}", "", float(n % 4)) for n in range(8)))
    for query in ("shoe", "tea", "hose")
]
PLAN = ReplayPlan(recipe=RECIPE, url="http://gateway", users=40, seconds=3600, requests=120)


def rate(grade, position, eta=1.0):
    luck = random.Random(1)
    return sum(bool(acts(luck, grade, position, eta)) for _ in range(4000)) / 4000


def test_clicks_follow_the_grade_and_the_position():
    assert rate(3, 1) == pytest.approx(0.75, abs=0.03)
    assert rate(3, 4) == pytest.approx(0.75 / 4, abs=0.03)
    assert rate(0, 1) == pytest.approx(0.02, abs=0.01)
    assert rate(3, 4, eta=0) == pytest.approx(0.75, abs=0.03)


def test_between_whole_grades_attraction_is_a_straight_line():
    assert attraction(2.5) == pytest.approx((attraction(2) + attraction(3)) / 2)
    assert attraction(3) == 0.75


def test_nobody_buys_what_he_did_not_click():
    luck = random.Random(2)
    for done in (acts(luck, 3, 1, 1.0) for _ in range(500)):
        assert done == ["click", "cart", "purchase"][: len(done)]


def test_the_same_seed_gives_the_same_visits_and_every_user_comes_back():
    first, second = (list(itertools.islice(visits(PLAN, SEARCHES), 120)) for _ in range(2))
    assert first == second
    assert all(sum(visit.user == user for visit in first) == 3 for user in {visit.user for visit in first})
    other = ReplayPlan(**{**vars(PLAN), "seed": 8})
    assert list(itertools.islice(visits(other, SEARCHES), 120)) != first


def through(world, plan=PLAN, searches=SEARCHES):
    """Replay into a gateway over doubles."""

    async def run():
        async with world.open():
            return await replay(plan, searches, transport=httpx.ASGITransport(world.app))

    return asyncio.run(run())


def graded(query, items):
    """The order of the grades, which the titles of these tests end in."""
    return [float(int(item.title.split()[-1]) % 4) for item in items]


def test_better_orders_are_clicked_more(world):
    world.router.set(HALVES)
    world.scorer.versions |= {"v2": graded, "v1": lambda query, items: [-score for score in graded(query, items)]}
    arms = through(world).arms
    assert arms["treatment"].ctr - arms["treatment"].half_width > arms["control"].ctr + arms["control"].half_width


def test_every_act_is_posted_for_the_request_and_the_user_who_saw_the_item(world):
    report = through(world)
    shown = {seen.request_id: seen for seen in world.exposures}
    assert report.outcomes.total() == len(world.outcomes) > 0
    for act in world.outcomes:
        assert act.user_key == shown[act.request_id].user_key
        assert act.item_id in {item.item_id for item in shown[act.request_id].items}


def test_only_acts_that_the_line_names_are_posted_and_values_only_where_they_carry_one(world):
    kinds = (OutcomeKind(name="click", max_value=6), OutcomeKind(name="purchase"), OutcomeKind(name="borrow"))
    world.named = OutcomesSection(kinds=kinds, metrics=(OutcomeMetric(name="ctr", kind="click"),))
    report = through(world, replace(PLAN, outcomes=world.named))
    assert (set(report.outcomes), report.failures) == ({"click", "purchase"}, {})
    assert {act.value for act in world.outcomes if act.kind == "purchase"} == {0.0}
    assert all(5 <= act.value <= 6 for act in world.outcomes if act.kind == "click")


def test_a_line_that_names_nothing_that_simulated_shoppers_do_cannot_be_replayed():
    borrow = OutcomesSection(kinds=(OutcomeKind(name="borrow"),), metrics=())
    with pytest.raises(BadConfiguration, match="borrow"):
        asyncio.run(replay(replace(PLAN, outcomes=borrow), SEARCHES))


def test_simulated_shoppers_are_taken_for_people(world):
    through(world)
    assert {seen.marked for seen in world.exposures} == {""}


def test_two_replays_of_one_seed_are_equal(world):
    first, second = through(world), through(world)
    assert first.arms == second.arms
    assert first.outcomes == second.outcomes


def test_the_report_says_what_it_is_and_counts_fallbacks(world):
    world.router.tables.clear()
    lines = through(world).lines()
    assert lines[0].startswith("simulated clicks on real judgements: 120 requests answered")
    assert "  answered by fallback, unavailable: 120" in lines


def test_refusals_are_counted_by_code(world):
    world.tokens = ("secret",)
    assert through(world).failures == {"401 unauthorised": 120}


def test_a_gateway_that_is_away_is_counted_and_ends_nothing():
    plan = ReplayPlan(recipe=RECIPE, url="http://127.0.0.1:9", users=2, seconds=3600, requests=2)
    assert asyncio.run(replay(plan, SEARCHES)).failures == {"ConnectError": 2}


def test_the_interval_shrinks_with_users_and_a_silent_arm_has_none():
    few, many = (ArmNumbers({str(n): [2, n % 2] for n in range(count)}) for count in (10, 1000))
    assert (few.ctr, many.ctr) == (0.25, 0.25)
    assert few.half_width > 5 * many.half_width
    assert (ArmNumbers().ctr, ArmNumbers().half_width) == (0, 0)


ROWS = {
    "query": ["shoe", "shoe", "shoe", "tea"],
    "item_id": ["a", "b", "a", "c"],
    "title": ["red shoe", None, "again", "green tea"],
    "description": ["", "blue", "", ""],
    "grade": [3.0, 0.0, 1.0, 2.0],
}


def test_a_data_sets_test_split_is_read_and_single_items_are_left_out(tmp_path):
    (tmp_path / "test").mkdir()
    table = pa.table(ROWS)
    with pa.ipc.new_stream(tmp_path / "test" / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table)
    items = (JudgedItem("a", "red shoe", "", 3.0), JudgedItem("b", "", "blue", 0.0))
    assert read_judged(tmp_path) == [JudgedSearch("shoe", items)]


def test_a_partitions_judgements_are_read_and_its_behaviour_is_not(tmp_path):
    kinds = ["judgement", "judgement", "click", "impression"]
    pq.write_table(pa.table(ROWS | {"kind": kinds}), tmp_path / "rows.parquet")
    assert [len(search.items) for search in read_judged(tmp_path)] == [2]


@pytest.mark.parametrize("rows", [{"query": ["shoe"], "kind": ["judgement"], "grade": [1.0]}, None])
def test_a_folder_without_judgements_is_bad_data(tmp_path, rows):
    if rows:
        pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    with pytest.raises(BadData):
        read_judged(tmp_path)
