"""`recflow recipe new`: the command on small files, and on real data what becomes of a day by the recipe it wrote."""

import pytest
from typer.testing import CliRunner

from recflow.cli import recipe as cli
from recflow.cli.main import run
from recflow.config.recipe_loader import load_recipe
from recflow.errors import BadConfiguration, BadData

CLICKS = "id;happened;action;user;sku\n" + "".join(
    f"e{place};2011-01-04 0{place % 9}:00:00;{('view', 'buy')[place % 2]};u{place};p{place % 7}\n"
    for place in range(80)
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for samples and recipes, from which sources are named."""
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.setenv("RECFLOW_SOURCE_ROOT", str(tmp_path))
    (tmp_path / "recipes").mkdir()
    (tmp_path / "feed").mkdir()
    (tmp_path / "feed" / "clicks.csv").write_text(CLICKS)
    return tmp_path


def written(place, sample, *options, name="shop"):
    """The recipe that was written, and what was said, on eighty columns."""
    target = place / "recipes" / f"{name}.yaml"
    ended = CliRunner(env={"COLUMNS": "80"}).invoke(cli.app, ["new", str(sample), str(target), *options])
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code == 0
    return load_recipe(target), ended.output


class TestCommand:
    def test_a_recipe_is_written_that_is_right_and_says_what_it_rests_on(self, place):
        recipe, said = written(place, place / "feed", "--zone", "Europe/Berlin", "--owner", "ada")
        assert (recipe.owner, recipe.data.source.path, recipe.data.source.zone) == ("ada", "feed", "Europe/Berlin")
        assert recipe.data.source.events[0].delimiter == ";"
        plain = " ".join(said.split())
        assert "its name, and values read as iso" in plain
        assert "tried on 80 rows of 2011-01-04: 80 would be kept" in plain
        assert "recipe shop is right" in plain

    def test_on_eighty_columns_no_table_is_wider(self, place):
        _, said = written(place, place / "feed", "--zone", "Europe/Berlin")
        assert max(len(line) for line in said.splitlines() if str(place) not in line) <= 80

    def test_a_recipe_that_is_there_is_not_written_over(self, place, capsys):
        target = place / "recipes" / "shop.yaml"
        target.write_text("mine")
        code = run(["recipe", "new", str(place / "feed"), str(target), "--zone", "UTC"])
        assert code == BadConfiguration.exit_code
        assert "is there already" in capsys.readouterr().err
        assert target.read_text() == "mine"

    @pytest.mark.parametrize(
        ("name", "zone", "told"),
        [
            ("shop.yaml", "", "say --zone"),
            ("shop.yaml", "Berlin", "Berlin is no time zone"),
            ("My Shop.yaml", "UTC", "is no name for a recipe"),
            ("nowhere/shop.yaml", "UTC", "cannot be written"),
        ],
    )
    def test_what_cannot_be_written_is_refused_and_leaves_nothing(self, place, capsys, name, zone, told):
        target = place / "recipes" / name
        options = ["--zone", zone] if zone else []
        code = run(["recipe", "new", str(place / "feed"), str(target), *options])
        assert code == BadConfiguration.exit_code
        assert told in capsys.readouterr().err
        assert not target.exists()

    def test_a_file_that_is_no_sample_says_that_no_recipe_is_written(self, place, capsys):
        (place / "feed" / "clicks.csv").write_bytes(bytes(range(256)))
        code = run(["recipe", "new", str(place / "feed"), str(place / "recipes" / "shop.yaml")])
        assert code == BadData.exit_code
        assert "Next: no recipe is written" in capsys.readouterr().err

    def test_rows_that_the_recipe_would_put_aside_are_told(self, place):
        lines = [
            f"e{place};2011-01-04T08:00:00Z;view;u{place};s{place};red shoe;p{place};{place % 3};"
            for place in range(60)
        ]
        header = "id;at;action;user;search_id;query;sku;rank;title\n"
        text = header + "\n".join(f"{line}{'a shoe' if number % 2 else ''}" for number, line in enumerate(lines)) + "\n"
        (place / "feed" / "clicks.csv").write_text(text)
        recipe, said = written(place, place / "feed")
        assert recipe.task == "relevance"
        assert "30 in quarantine for item_known" in said


class TestRealData:
    def test_invoices_become_purchases_and_returns_as_in_the_example(self, place, data_folder):
        folder = data_folder("uci-online-retail-by-day")
        recipe, said = written(place, folder / "by-day_2010-12_2011-08.tar.gz", "--zone", "Europe/London")
        columns = recipe.data.source.events[0].columns
        assert (columns["event_id"].column, columns["item_id"].column, columns["title"].column) == (
            "InvoiceNo", "StockCode", "Description",
        )  # fmt: skip
        assert columns["kind"].match == {"-.+": "return", ".+": "purchase"}
        assert recipe.data.source.events[0].own_times
        assert "tried on 3,108 rows of 2010-12-01" in said

    def test_judged_pairs_become_relevance(self, place, crowdflower_folder):
        recipe, said = written(place, crowdflower_folder)
        table = recipe.data.source.events[0]
        assert recipe.task == "relevance"
        assert table.files == ("ValidationFolds/*-test.csv",)
        assert (table.columns["grade"].column, table.columns["grade"].offset) == ("median_relevance", -1)
        assert "refuses the day" not in said

    def test_chinese_reviews_become_a_line_of_data(self, place, data_folder):
        recipe, said = written(place, data_folder("zh-online-shopping-10-cats"))
        columns = recipe.data.source.events[0].columns
        assert {name: columns[name].column for name in ("text", "rating", "category")} == {
            "text": "review", "rating": "label", "category": "cat",
        }  # fmt: skip
        assert recipe.data.cleaning.simplify_chinese
        assert "refuses the day" not in said

    def test_logged_events_without_titles_say_what_relevance_needs(self, place, data_folder):
        recipe, said = written(place, data_folder("esci-us-ubi-sample") / "ubi_queries_events.ndjson")
        table = recipe.data.source.events[0]
        assert recipe.task == "none"
        assert table.columns["at"].time == ("iso", "milliseconds")
        assert table.columns["item_id"].column == "event_attributes.object.object_id"
        assert "relevance needs titles" in " ".join(said.split())
