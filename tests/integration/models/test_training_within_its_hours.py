"""A real job of a training keeps its recipe's limit by itself."""

import re
import time

import pytest

from fakes.small_models import shop_rows, tiny_base, write_dataset
from fakes.stage_bench import DAY
from fakes.trained_line import small_recipe
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.errors import JobTooLong
from recflow.protocols import JobState
from recflow.storage import list_files
from recflow.wiring import StageCall, build_services, collect_job, submit_stage


@pytest.fixture
def services(tmp_path, monkeypatch):
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    return build_services()


@pytest.fixture
def inputs(services, tmp_path):
    """A tiny shop's data set, and the untrained base as the parent."""
    rows = shop_rows(24)
    write_dataset(tmp_path / "dataset", {"train": rows[: 16 * 8], "validation": rows[16 * 8 :]})
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "parent.json").write_text(Parent().model_dump_json())
    return {kind.value: (publish(services, kind, tmp_path / kind.value),) for kind in (RefKind.DATASET, RefKind.PARENT)}


def publish(services, kind, folder):
    manifest = Manifest(
        kind=kind, recipe="search", stage="fixture", stage_version=1, key=folder.name, attempt="only", interval=DAY,
        inputs={}, files=list_files(folder), numbers={}, reusable=True, created_at=services.clock.now(),
    )  # fmt: skip
    return services.artifacts.publish(manifest, folder)


def endless(base, seconds):
    training = {"base_model": str(base), "epochs": 1000, "patience": 1000, "checkpoint_every_steps": 1}
    training |= {"token_budget": 128, "max_tokens": 32, "trained_layers": 0}
    return small_recipe(training=training, schedule={"max_job_hours": seconds / 3600})


def test_a_training_that_meets_its_limit_says_so_and_goes_on_from_its_saved_state(services, inputs, tmp_path):
    base, seconds = tiny_base(tmp_path / "base"), 10
    while not list((tmp_path / "home" / "scratch").rglob("training.safetensors")):
        seconds *= 2  # on a busy host the first step comes late; the limit is no part of the job's name
        call = StageCall("fine_tune", endless(base, seconds), DAY, inputs)
        submit_stage(services, call)
        while services.launcher.poll(call.job_name).state is JobState.RUNNING:
            time.sleep(0.1)
        with pytest.raises(JobTooLong, match=f"ended because it ran longer than {seconds} s") as raised:
            collect_job(services, call.job_name)
        assert "Runbook: docs/runbooks/job-too-long.md" in str(raised.value)
    submit_stage(services, call)
    log = tmp_path / "home" / "jobs" / call.job_name / "log.txt"
    while not (resumed := re.search(r"training resumes after step ([1-9]\d*)", log.read_text())):
        assert services.launcher.poll(call.job_name).state is JobState.RUNNING, log.read_text()
        time.sleep(0.1)
    services.launcher.cancel(call.job_name)
    assert resumed
