"""Airflow's pages in a real Chromium: what a person clicks."""

from datetime import date
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
).split()
expect.set_options(timeout=90_000)


def open_dag(page: Page, dag_id: str) -> None:
    page.goto(f"/dags/{dag_id}")
    expect(page.get_by_role("button", name="Trigger Dag")).to_be_visible()


def read_doc(page: Page) -> str:
    page.get_by_role("button", name="Dag Docs").click()
    expect(page.get_by_text("Dag Documentation")).to_be_visible()
    text = page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    return text


def open_form(page: Page) -> Any:
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    expect(form.locator("#element_day")).to_be_visible()
    return form


def trigger(page: Page, day: date) -> str:
    """Fill in the form and start a run; its id."""
    form = page.get_by_role("dialog")
    form.locator("#element_day").fill(day.isoformat())
    with page.expect_response(
        lambda answer: answer.url.endswith("/dagRuns") and answer.request.method == "POST"
    ) as told:
        form.get_by_role("button", name="Trigger", exact=True).click()
    assert told.value.ok, told.value.text()
    return str(told.value.json()["dag_run_id"])


def backfill(page: Page, first: date, last: date, shot: Path) -> None:
    """Choose a range of days, all runs of it again, and start."""
    form = page.get_by_role("dialog")
    form.get_by_text("Backfill", exact=True).click()
    calendar = page.get_by_placeholder("YYYY/MM/DD").locator("visible=true")
    for number, moment in enumerate((f"{first} 00:00", f"{last} 23:59")):
        day, time = moment.split()
        form.get_by_test_id("datetime-input").nth(number).click()
        expect(calendar).to_have_count(1)
        calendar.fill(day.replace("-", "/"))
        page.get_by_placeholder("HH:mm").locator("visible=true").fill(time)
        page.keyboard.press("Escape")
        expect(calendar).to_have_count(0)
    form.get_by_text("All Runs", exact=True).click()
    page.screenshot(path=shot)
    _press(page, form.get_by_role("button", name="Run Backfill"), "/backfills")


def clear_task(page: Page) -> None:
    """Clear the task of the open page, with all that follows it."""
    page.get_by_role("button", name="Press shift+c to clear").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Affected Tasks: 7")).to_be_visible()
    _press(page, dialog.get_by_role("button", name="Confirm"), "/clearTaskInstances")


def _press(page: Page, button: Locator, path: str) -> None:
    """Press a button; the API takes what it sends."""
    with page.expect_response(lambda answer: answer.url.endswith(path) and answer.request.method == "POST") as told:
        button.click()
    assert told.value.ok, told.value.text()
