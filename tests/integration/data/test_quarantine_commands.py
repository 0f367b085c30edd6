"""`recflow quarantine` as a person types it, on an installation whose day was built as the DAG builds it."""

import json

import pytest

from fakes.deliveries import write_csv
from recflow.cli.main import run
from recflow.config.settings import Settings
from recflow.domain.intervals import day_interval
from recflow.errors import BadData
from recflow.wiring import Services, finish_stage, run_stage, stage_call

DAY = "2011-01-01"
RECIPE = """
name: search
owner: tests
data:
  source: {adapter: crowdflower, path: feed, days: 1}
  min_rows: 1
  max_quarantined_share: 0.3
"""


def pairs(count, *extra):
    return [*(f"{number},query {number},title {number},text,3,0" for number in range(count)), *extra]


BAD = ["odd,mail ann@example.com,caf\ufffd \x1b[31m red,text,3,0", "high,query,title high,text,9,0"]


@pytest.fixture
def services(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "search.yaml").write_text(RECIPE)
    for name, folder in (("HOME", "home"), ("RECIPES", "recipes"), ("SOURCE_ROOT", "")):
        monkeypatch.setenv(f"RECFLOW_{name}", str(tmp_path / folder))
    write_csv(tmp_path / "feed", pairs(20, *BAD))
    return Services(Settings())


def build(services):
    """The day as `validate_partition` of the DAG builds it."""
    recipe = services.recipe("search")
    call = stage_call(services, "validate_partition", recipe, day_interval(DAY, "UTC"), {})
    return finish_stage(services, call, run_stage(services, call))


@pytest.fixture
def said(capsys):
    """The exit code and what was printed, of a command."""

    def call(*arguments):
        code = run(["quarantine", *arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def release(*what, because="they are real"):
    return ("release", "search", DAY, *what, "--because", because, "--by", "ada")


def acts(services):
    return services.store.list("search/quarantine/released/")


def test_show_prints_counts_places_reasons_and_values_on_lines_that_no_terminal_obeys(services, said):
    build(services)
    code, text = said("show", "search", DAY)
    assert code == 0
    assert "search 2011-01-01: partition of " in text
    assert "2 rows in quarantine" in text
    assert "        1  grade_0_to_3\n" in text
    assert "1-test.csv:21  grade_0_to_3  (cannot be released)" in text or "grade_0_to_3  (cannot be released)" in text
    assert "query=mail [email]" in text
    assert "ann@example.com" not in text
    assert "\x1b" not in text
    assert all(line.isprintable() for line in text.splitlines())


def test_show_takes_a_reason_a_limit_and_gives_json(services, said):
    build(services)
    code, text = said("show", "search", DAY, "--json", "--reason", "title_undamaged")
    shown = json.loads(text)
    assert code == 0
    assert shown["reasons"] == {"title_undamaged": 1, "grade_0_to_3": 1}
    assert [(row["event_id"], row["query"]) for row in shown["rows"]] == [("odd", "mail [email]")]
    assert "ann@example.com" not in text
    assert "2 more: --limit 2" in said("show", "search", DAY, "--limit", "0")[1]


def test_a_released_row_is_kept_once_the_day_is_built_again_and_show_says_by_whom(services, said):
    first = build(services)
    row = json.loads(said("show", "search", DAY, "--json", "--reason", "title_undamaged")[1])["rows"][0]
    code, text = said(*release("--rows", f"{row['source_file']}:{row['source_row']}"))
    assert code == 0
    assert "the next build keeps 1 of 2 rows in quarantine" in text
    assert "clear validate_partition of 2011-01-01" in text
    second = build(services)
    assert second != first
    assert second.numbers["released_rows"] == 1
    assert "release 1" in said("show", "search", DAY)[1]
    assert "ada          1 rows: they are real" in said("show", "search", DAY)[1]
    assert said("withdraw", "search", DAY, "1", "--because", "they are not", "--by", "bob")[0] == 0
    assert build(services) == first


def test_a_refused_day_is_shown_accepted_and_after_a_new_delivery_refused_again(services, said, tmp_path):
    write_csv(tmp_path / "feed", pairs(2, *BAD))
    with pytest.raises(BadData, match=r"2 bad rows of 4.*`recflow quarantine show search 2011-01-01`"):
        build(services)
    code, text = said("show", "search", DAY)
    assert (code, "search 2011-01-01: refused of" in text, "too_many_bad_rows: 2011-01-01 has 2 bad" in text) == (
        0,
        True,
        True,
    )
    code, text = said(*release("--day", because="a small shop"))
    assert (code, "the day despite too_many_bad_rows" in text) == (0, True)
    assert build(services).numbers["rows"] == 2
    write_csv(tmp_path / "feed", pairs(3, *BAD))
    with pytest.raises(BadData, match="2 bad rows of 5"):
        build(services)
    assert "a small shop  (counts no more)" in said("show", "search", DAY)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (("show", "search", "2011-01-09"), 1, "search has no day 2011-01-09"),
        (("show", "search", "yesterday"), 78, "the interval cannot be read"),
        (("show", "search", "../../../etc"), 78, "the interval cannot be read"),
        (("show", "nothing", DAY), 78, "nothing"),
        (release("--reason", "no_such_check"), 1, "no row is in quarantine for no_such_check"),
        (release("--reason", "grade_0_to_3"), 1, "rows with grade_0_to_3 cannot be kept"),
        (release("--rows", "1-test.csv:4000"), 1, "1-test.csv:4000 is not in quarantine"),
        (release("--rows", "1-test.csv"), 78, "FILE:ROW"),
        (release("--rows", "1-test.csv:99999999999999999999"), 78, "FILE:ROW"),
        (release(), 78, "one of --rows, --reason, --all, --day"),
        (release("--all", "--day"), 78, "one of --rows, --reason, --all, --day"),
        (release("--day"), 1, "the day is not refused"),
        (release("--all", because="x" * 100_000), 1, "at most 1,000 characters, seen 100,000"),
        (release("--all", because="a\x1b[2Jb"), 1, r"seen 'a\x1b[2Jb'"),
        (release("--all", because="two\nlines"), 1, "one line of text"),
        (release("--all", because=" "), 1, "seen nothing"),
        (("release", "search", DAY, "--all"), 2, "--because"),
        (("withdraw", "search", DAY, "7", "--because", "why"), 1, "release 7 cannot be withdrawn"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_released(services, said, arguments, code, answer):
    build(services)
    seen, text = said(*arguments)
    assert (seen, acts(services)) == (code, [])
    assert answer in text
    assert "\x1b[2J" not in text
