"""How shoppers look, estimated from logs whose truth is known."""

from math import log2

import pytest

from fakes.deliveries import day
from fakes.shown_log import estimated, shop_days, written
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import RefKind
from recflow.cli.main import run
from recflow.data.heads import HeadHistory
from recflow.domain.examination import told
from recflow.storage import list_files
from recflow.wiring import build_services

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)


def showing(query, number, position, kind="impression", start=0):
    at = day(start).start.isoformat()
    row = {"event_id": f"{query}-{number}-{kind}", "at": at, "kind": kind, "query": query, "item_id": "i1"}
    return row | {"request_id": f"{query}-{number}", "user_key": "u1", "position": position, "value": 0.0}


def tried(queries=30, first=(10, 5), other=(10, 2), position=2, start=0):
    """An item a query, shown first and elsewhere as often as said, and clicked as often."""
    rows = []
    for query in range(queries):
        for place, (times, clicks) in ((1, first), (position, other)):
            numbers = range(100 * place, 100 * place + times)
            rows += [showing(f"q{query}", number, place, start=start) for number in numbers]
            rows += [showing(f"q{query}", number, place, "click", start) for number in numbers[:clicks]]
    return rows


def test_by_hand_on_both_engines(engine):
    found = estimated([tried()], engine)
    assert found.by_position[2].value == pytest.approx(0.4)
    assert found.eta.value == pytest.approx(-log2(0.4), abs=1e-5)
    assert found.eta.low == pytest.approx(found.eta.high, abs=1e-5)  # every query says the same
    assert found.showings == 600


def test_pairs_that_were_shown_unequally_often_count_as_far_as_they_compare():
    often_first, seldom_first = tried(first=(90, 45), other=(10, 2)), tried(first=(10, 5), other=(90, 18))
    found = estimated([often_first + [row | {"item_id": "i2"} for row in seldom_first]])
    assert found.by_position[2].value == pytest.approx(0.4)


def test_swaps_tell_how_shoppers_look():
    found = estimated(list(shop_days(2, seed=3, swaps=0.3)))
    assert found.eta.low <= 0.5 <= found.eta.high
    assert abs(found.eta.value - 0.5) < 0.1


def test_shoppers_who_look_less_far_are_told_from_others():
    found = estimated(list(shop_days(2, seed=3, swaps=0.3, eta=1.0)))
    assert found.eta.low <= 1.0 <= found.eta.high
    assert found.eta.low > 0.6
    assert "outside of the interval" in told(found, 0.5)[-1]


def test_random_orders_tell_it_too_and_the_interval_is_narrower():
    found = estimated(list(shop_days(1, seed=3)))
    assert found.eta.low <= 0.5 <= found.eta.high
    assert found.eta.high - found.eta.low < 0.15


class TestWhatCannotTell:
    def said(self, *days):
        found = estimated(list(days))
        assert found.eta is None
        assert found.by_position == {}
        assert told(found, 0.7)[-1] == "the recipe has labels.position_bias_eta 0.7"
        return next(line for line in told(found, 0.7) if line.startswith("cannot tell: "))

    def test_an_order_that_never_changes(self):
        assert "no rank changed" in self.said(*shop_days(1, seed=3, rows=4_000, swaps=0.0))

    def test_a_ranker_that_changed_overnight(self):
        rows = tried()
        first = [row for row in rows if row["position"] == 1]
        other = [row | {"at": day(1).start.isoformat()} for row in rows if row["position"] == 2]
        assert "no rank changed" in self.said(first, other)

    def test_a_log_without_positions(self):
        rows = [row | {"position": 0} for row in tried()]
        assert "at which position" in self.said(rows)
        assert "at which position" in self.said([row | {"position": None} for row in tried()])

    def test_a_log_without_searches(self):
        assert "at which position" in self.said([row for row in tried() if row["kind"] == "click"])

    def test_too_few_clicks(self):
        assert "0 clicks further down and 150 on the first place" in self.said(tried(other=(10, 0)))

    def test_clicks_of_a_handful_of_queries_say_nothing_of_others(self):
        assert "in 4 of 50 groups of queries" in self.said(tried(queries=4, first=(40, 20), other=(40, 20)))


def test_an_eta_that_a_recipe_has_is_within_the_interval_or_outside():
    found = estimated(list(shop_days(1, seed=3)))
    assert told(found, 0.5)[-1] == "the recipe has labels.position_bias_eta 0.5, within the interval"
    assert told(found, 2.0)[-1] == "the recipe has labels.position_bias_eta 2, outside of the interval"


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
        (tmp_path / "shop.yaml").write_text("name: shop\nowner: ada\nlabels: {position_bias_eta: 0.7}\n")
        return tmp_path

    def keep(self, folder, rows):
        """A validated day, as the store has it."""
        folder.mkdir()
        written(folder / "rows.parquet", rows)
        made = {"key": "k", "attempt": "only", "inputs": {}, "numbers": {}, "reusable": True}
        manifest = Manifest(
            kind=RefKind.PARTITION, recipe="shop", stage="validate_partition", stage_version=1, interval=day(),
            files=list_files(folder), created_at=day().end, **made,
        )  # fmt: skip
        services = build_services()
        ref = services.artifacts.publish(manifest, folder)
        HeadHistory(services.store, "shop").record(day(), ref, at=day().end)

    def test_says_the_curve_and_what_the_recipe_has(self, home, capsys):
        self.keep(home / "partition", tried())
        assert run(["data", "propensity", "shop"]) == 0
        said = capsys.readouterr().out
        assert "       2  0.400 [0.400, 0.400]" in said
        assert "eta 1.322 [1.322, 1.322]" in said
        assert "labels.position_bias_eta 0.7, outside of the interval" in said

    def test_says_that_it_cannot_tell(self, home, capsys):
        self.keep(home / "partition", [row for row in tried() if row["position"] == 1])
        assert run(["data", "propensity", "shop"]) == 0
        assert "cannot tell: no item was shown first and further down" in capsys.readouterr().out

    def test_a_line_without_a_day_is_told_so(self, capsys):
        assert run(["data", "propensity", "shop"]) == 78
        assert "shop has no partition" in capsys.readouterr().err
