"""`recflow compare` on packages that are made here, over a store in memory: what is said, and nothing is changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.deliveries import day, judgement, partition_file
from fakes.engines import duckdb_engine
from fakes.small_models import judged_row, shop_rows, write_dataset
from fakes.stage_bench import StageBench
from fakes.tiny_model import write_package
from fakes.toy_task import installed, write_toy_package
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent
from recflow.artifacts.refs import RefKind
from recflow.cli import compare as cli
from recflow.cli.main import run
from recflow.clients.ledger import ObjectLedger
from recflow.config.recipe import Recipe
from recflow.config.sections.serving import PackagingSection
from recflow.config.settings import Settings
from recflow.data.heads import HeadHistory
from recflow.rollout.candidates import version_id
from recflow.wiring.services import Services

REVERSING = "def process(scores):\n    return [-score for score in scores]\n"
LONG_LISTS_FAIL = "def process(scores):\n    return scores if len(scores) < 8 else scores[:1]\n"


class BlindEncoders:
    """A base model that finds every text alike."""

    def base_folder(self, name):
        return Path(name)

    def encode(self, folder, texts, max_tokens):
        return np.ones((len(texts), 1))


class World(Services):
    """The services of a command over a bench, with packages of the line `search` and a stored data set."""

    def __init__(self, root):
        super().__init__(Settings(home=root / "home", recipes=root / "recipes"))
        self.root, self.bench = root, StageBench(root / "bench")
        self.clock, self.store, self.artifacts = self.bench.clock, self.bench.store, self.bench.artifacts
        self.engine, self.encoders = duckdb_engine, BlindEncoders()
        self.ledger = ObjectLedger(self.store, self.clock, "tests")
        (root / "recipes").mkdir(parents=True)
        (root / "recipes" / "search.yaml").write_text("name: search\nowner: tests\n")

    def package(self, code="", *, folder=None, line="search", **sections):
        """A published package, as a version; the next one is made a minute later."""
        section = PackagingSection(post_processing="post.py", post_processing_code=code) if code else PackagingSection()
        folder = folder or write_package(self.root / f"package-{len(self.store.objects)}", section=section)
        recipe = Recipe.model_validate({"name": line, "owner": "tests", **sections})
        recipe = recipe.model_copy(update={"packaging": section})
        (folder / "recipe.json").write_text(recipe.model_dump_json())
        self.clock.tick(60)
        ref = self.bench.publish(RefKind.PACKAGE, folder, recipe=line)
        return version_id(self.artifacts.manifest(ref).interval, ref), ref

    def dataset(self, rows=None, **sections):
        rows = shop_rows(40) if rows is None else rows
        folder = self.root / f"dataset-{len(self.store.objects)}"
        write_dataset(folder, {"train": rows[:40], "validation": rows[40:80], "test": rows[80:]})
        (folder / "recipe.json").write_text(Recipe(name="search", owner="tests", **sections).model_dump_json())
        return self.bench.publish(RefKind.DATASET, folder)

    def make_stable(self, version, ref):
        interval = self.artifacts.manifest(ref).interval
        candidate = Candidate(version=version, package=ref, interval_label=interval.label, trained_through=interval.end)
        self.ledger.append("search", LedgerEvent(kind=EventKind.ADOPTED, candidate=candidate), after=None)

    def deliver(self, number):
        """A day of judged pairs, current for its interval."""
        pairs = shop_rows(40, seed=number)
        rows = [
            judgement(
                place, at=day(number).start.isoformat(), query=row["query"], item_id=row["item_id"],
                title=row["title"], grade=str(row["grade"]), description="",
            )
            for place, row in enumerate(pairs)
        ]  # fmt: skip
        folder = self.root / f"partition-{number}"
        folder.mkdir()
        partition_file(folder / "rows.parquet", rows)
        HeadHistory(self.store, "search").record(
            day(number), self.bench.publish(RefKind.PARTITION, folder), at=self.clock.now()
        )


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path)
    monkeypatch.setattr(cli, "build_services", lambda: made)
    return made


@pytest.fixture
def two(world):
    """The stable version and a newer package that orders the other way, and held-out rows."""
    world.dataset()
    world.make_stable(*world.package())
    return world, world.package(REVERSING)[0]


def said(*arguments, columns=80):
    ended = CliRunner(env={"COLUMNS": str(columns)}).invoke(cli.app, list(arguments))
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.output


def refused(capsys, *arguments):
    """The message of a refusal, as the command line tells it."""
    code = run(["compare", *arguments])
    assert code not in {0, 70}
    return capsys.readouterr().err


def numbers(world, *arguments):
    file = world.root / "found.json"
    said(*arguments, "--json", str(file))
    return json.loads(file.read_text())


class TestWhatIsSaid:
    def test_a_worse_package_is_told_by_its_interval_and_by_the_units_it_loses(self, two):
        world, _ = two
        found = numbers(world, "search", "search@candidate")
        main = found["metrics"][0]
        assert (main["metric"], main["part"], main["n"]) == ("ndcg@10", "", 30)
        assert main["better"]["high"] < 0
        assert main["losses"] > main["wins"]
        assert main["wins"] + main["ties"] + main["losses"] == main["n"]
        assert main["b"]["mean"] - main["a"]["mean"] == pytest.approx(main["better"]["mean"])

    def test_the_other_way_round_it_is_as_much_better(self, two):
        world, version = two
        there, back = (numbers(world, *names) for names in (("search", version), (version, "search")))
        assert there["metrics"][0]["better"]["mean"] == pytest.approx(-back["metrics"][0]["better"]["mean"])
        assert there["metrics"][0]["wins"] == back["metrics"][0]["losses"]

    def test_every_metric_stands_on_every_slice_and_one_that_no_unit_tells_says_so(self, two):
        world, _ = two
        found = numbers(world, "search", "search@candidate")
        parts = {row["part"] for row in found["metrics"]}
        assert parts == {"", "head", "torso", "tail", "with_description", "without_description"}
        described = [row for row in found["metrics"] if row["part"] == "with_description"]
        assert {row["said"] for row in described} == {"no query belongs to with_description"}

    def test_floors_stand_beside_and_one_that_cannot_be_made_says_why(self, world):
        world.dataset()
        gate = {"floors": ["bm25", "untrained", "popularity"]}
        version, _ = world.package()
        other, _ = world.package(REVERSING, offline_gate=gate)
        floors = {floor["name"]: floor for floor in numbers(world, version, other)["floors"]}
        assert floors.keys() == {"bm25", "untrained", "popularity"}
        assert floors["untrained"]["a_better"]["low"] > 0 > floors["untrained"]["b_better"]["high"]

    def test_the_units_that_differ_most_are_ten_by_their_words(self, two):
        world, _ = two
        differing = numbers(world, "search", "search@candidate")["differing"]
        assert len(differing) == 10
        assert all(len(unit["unit"].split()) == 2 for unit in differing)
        assert [abs(unit["better"]) for unit in differing] == sorted(
            (abs(u["better"]) for u in differing), reverse=True
        )

    def test_it_tells_how_the_recipes_differ_and_how_long_a_request_takes(self, two):
        world, _ = two
        found = numbers(world, "search", "search@candidate")
        assert any(change.startswith("packaging.post_processing_code") for change in found["changes"])
        assert [latency["requests"] for latency in found["latency"]] == [30, 30]

    def test_requests_without_an_answer_are_counted_with_the_first_reason(self, world):
        world.dataset()
        world.make_stable(*world.package())
        world.package(LONG_LISTS_FAIL)
        text = said("search", "search@candidate")
        assert "B leaves 30 queries without an answer, the first by ValueError" in " ".join(text.split())
        assert "none of 30 queries can tell for both" in " ".join(text.split())

    def test_another_dealing_of_units_is_warned_of(self, world):
        world.dataset()
        version, _ = world.package(split={"salt": "another"})
        world.package(REVERSING)
        warnings = numbers(world, f"search@{version}", "search@candidate")["warnings"]
        assert warnings == ["A was trained with other splits: it may have learnt from units that judge here"]

    def test_a_masked_text_is_shown_as_it_is_stored(self, world):
        written = [
            judged_row("mail [email] shoe", title, grade) for title, grade in (("mail shoe", 3.0), ("lamp", 0.0))
        ]
        world.dataset([*shop_rows(12), *written])
        world.make_stable(*world.package())
        world.package(REVERSING)
        assert "mail [email] shoe" in said("search", "search@candidate")

    def test_on_eighty_columns_no_line_is_longer(self, two):
        text = said("search", "search@candidate")
        assert max(map(len, text.splitlines())) <= 80
        assert "ndcg@10" in text

    def test_validation_units_may_be_asked_for_and_are_told_to_flatter(self, two):
        text = said("search", "search@candidate", "--split", "validation")
        assert text.split("\n")[2].startswith("5 validation queries")
        assert "both look better on them" in " ".join(text.split())


class TestDays:
    def test_rows_are_made_of_the_days_and_nothing_is_kept(self, two):
        world, _ = two
        for number in range(3):
            world.deliver(number)
        before = dict(world.store.objects)
        found = numbers(world, "search", "search@candidate", "--days", "2011-01-01..2011-01-02")
        assert world.store.objects == before
        assert found["rows"] == "made of 2 days of search, 2011-01-01 … 2011-01-02"
        assert found["metrics"][0]["better"]["high"] < 0
        assert found["warnings"] == []

    def test_a_line_that_asks_for_the_days_before_them_gets_those_too(self, two):
        world, _ = two
        for number in range(3):
            world.deliver(number)
        version, _ = world.package(split={"history_days": 1})
        found = numbers(world, "search", version, "--days", "2011-01-03")
        assert found["rows"] == "made of 1 days of search, 2011-01-03, and of 1 days before them what users did"

    def test_days_without_rows_name_those_that_have_some(self, two, capsys):
        two[0].deliver(0)
        told = refused(capsys, "search", "search@candidate", "--days", "2012-01-01..2012-01-07")
        assert "search has no rows of 2012-01-01 … 2012-01-07" in told
        assert "days from 2011-01-01 to 2011-01-01" in told

    @pytest.mark.parametrize("days", ["yesterday", "2011-01-02..2011-01-01", "2011-02-30", "2011-01-01.."])
    def test_days_that_are_none_say_how_to_write_them(self, two, capsys, days):
        assert "2011-01-04..2011-01-10, or one day" in refused(capsys, "search", "search@candidate", "--days", days)

    def test_without_a_stored_data_set_the_days_are_asked_for(self, world, capsys):
        versions = [world.package()[0], world.package(REVERSING)[0]]
        assert "say --days FROM..TO" in refused(capsys, *versions)


class TestWhoIsCompared:
    def test_a_package_is_named_by_line_version_reference_or_recipe(self, two):
        world, version = two
        _, ref = world.package(REVERSING)
        (world.root / "ref.json").write_text(ref.model_dump_json())
        recipe = str(world.root / "recipes" / "search.yaml")
        for other in (
            version,
            f"search@{version}",
            "search@candidate",
            str(world.root / "ref.json"),
            ref.model_dump_json(),
        ):
            assert numbers(world, recipe, other)["metrics"][0]["better"]["high"] < 0

    def test_a_package_is_not_compared_with_itself(self, two, capsys):
        assert "A and B are one package" in refused(capsys, "search", "search@stable")

    def test_a_version_that_is_not_there_names_those_that_are(self, two, capsys):
        _, version = two
        told = refused(capsys, "search", "search@20110101-00000000")
        assert "search has no version 20110101-00000000" in told
        assert version in told

    def test_a_version_of_no_line_says_how_to_name_one(self, two, capsys):
        assert "version 20990101-00000000 is of no line" in refused(capsys, "search", "20990101-00000000")

    def test_a_misspelt_line_is_told_which_one_is_near(self, two, capsys):
        assert "did you mean search?" in refused(capsys, "search", "serch")

    def test_a_line_without_a_package_says_so(self, world, capsys):
        assert "search has no package" in refused(capsys, "search", "search")

    def test_a_package_that_no_longer_loads_says_which_one_it_is(self, two, capsys):
        world, _ = two
        folder = write_package(world.root / "broken")
        (folder / "1" / "scorer.json").write_text("no JSON")
        version, _ = world.package(folder=folder)
        told = refused(capsys, "search", version)
        assert "does not load" in told
        assert f"this is B: search@{version}" in told

    def test_packages_of_different_tasks_are_not_compared(self, two, capsys, monkeypatch):
        world, _ = two
        monkeypatch.syspath_prepend(installed(world.root / "site"))
        toy, _ = world.package(folder=write_toy_package(world.root / "toy"), line="classes", task="toy")
        told = refused(capsys, "search", f"classes@{toy}")
        assert "A and B are of different tasks" in told
        assert "search learns relevance, classes toy" in told

    def test_what_was_made_with_a_task_that_is_gone_cannot_be_compared(self, two, capsys):
        world, _ = two
        folder = write_package(world.root / "gone")
        version, _ = world.package(folder=folder)
        recipe = json.loads((folder / "recipe.json").read_text()) | {"task": "vanished"}
        (folder / "recipe.json").write_text(json.dumps(recipe))
        ref = world.bench.publish(RefKind.PACKAGE, folder)
        assert "vanished is not installed here" in refused(capsys, "search", ref.model_dump_json())
        assert version
