import re
from pathlib import Path

import pytest

from recflow import errors
from recflow.errors import (
    BadData,
    JobFailed,
    JobInterrupted,
    JobTooLong,
    PermanentError,
    RecflowError,
    TemporaryError,
    from_exit_code,
    from_record,
)

REPOSITORY = Path(__file__).resolve().parents[2]
RUNBOOKS = REPOSITORY / "docs" / "runbooks"


def family(root: type[RecflowError]) -> list[type[RecflowError]]:
    return [root, *(found for child in root.__subclasses__() for found in family(child))]


ALL = [error for error in family(RecflowError) if error.__module__ == errors.__name__]


def test_the_message_says_what_then_seen_then_next_then_do_then_runbook():
    error = BadData("day 2011-01-04 is refused", expected="50 rows", seen="0 rows", then="it waits", action="mend it")
    assert error.message == (
        "day 2011-01-04 is refused. Expected 50 rows, seen 0 rows. Next: it waits. Do: mend it. "
        "Runbook: docs/runbooks/bad-data.md"
    )
    assert str(error) == error.message


@pytest.mark.parametrize("error", ALL)
def test_every_error_says_what_comes_next_and_what_to_do_without_being_told(error):
    message = error("it happened").message
    assert re.fullmatch(r"it happened\. Next: .+\. Do: .+\. Runbook: docs/runbooks/[a-z-]+\.md", message)


def test_a_message_is_bounded_however_long_its_parts_are():
    long = "x" * 100_000
    assert len(BadData(long, expected=long, seen=long, then=long, action=long).message) < 3_200


def test_the_parts_are_kept_whole_beside_the_message():
    assert BadData("what", seen="y" * 1000).seen == "y" * 1000


@pytest.mark.parametrize("error", ALL)
def test_an_exit_code_comes_back_as_an_error_with_the_same_answer_to_trying_again(error):
    back = from_exit_code(error.exit_code, "job ended", "log")
    assert isinstance(back, TemporaryError) == issubclass(error, TemporaryError)
    assert back.exit_code == error.exit_code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (65, BadData),
        (75, JobInterrupted),
        (-9, JobInterrupted),
        (-15, JobInterrupted),
        (1, JobFailed),
        (70, JobFailed),
        (124, JobTooLong),
    ],
)
def test_each_exit_code_has_its_error(code, expected):
    assert type(from_exit_code(code, "job ended", "log")) is expected


@pytest.mark.parametrize("error", ALL)
def test_an_error_that_was_written_down_comes_back_as_itself(error):
    told = error("it happened", expected="this", seen="that", then="it waits", action="mend it")
    back = from_record(told.as_record())
    assert type(back) is error
    assert back.message == told.message


def test_of_a_jobs_log_the_end_is_shown():
    log = "\n".join(f"step {number}" for number in range(500)) + "\nKilled by the kernel\n"
    assert "Killed by the kernel" in from_exit_code(1, "job ended", log).message


def test_only_temporary_errors_are_tried_again():
    assert {error.exit_code for error in family(TemporaryError)} == {75}
    assert 75 not in {error.exit_code for error in family(PermanentError)}


def test_the_tree_in_the_docstring_names_every_error():
    assert [error.__name__ for error in ALL if error.__name__ not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("error", ALL)
def test_every_error_has_its_runbook(error):
    assert (RUNBOOKS / f"{error.runbook}.md").is_file()


def test_every_runbook_is_named_by_the_code():
    code = "".join(path.read_text() for folder in ("src", "plugins") for path in (REPOSITORY / folder).rglob("*.py"))
    slugs = [path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README"]
    assert [slug for slug in slugs if f'"{slug}"' not in code] == []


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*-*.md")), ids=lambda path: path.stem)
def test_a_runbook_has_its_six_parts(path):
    text = path.read_text()
    parts = ["Meaning", "Impact", "First five minutes", "Diagnosis", "Mitigation", "Escalation"]
    assert [part for part in parts if part not in text] == []
