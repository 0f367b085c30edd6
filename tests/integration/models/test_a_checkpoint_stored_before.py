"""A checkpoint that was stored when tasks were young gives the scores that it gave."""

import pytest

from fakes.stored_line import SCORES, stored, stored_artifacts
from recflow.tasks.relevance.task import TASK
from recflow.training.encoder import Encoders


def test_a_checkpoint_that_was_stored_before_gives_the_scores_that_it_gave(tmp_path):
    artifacts = stored_artifacts(tmp_path / "cache")
    checkpoint, dataset = (artifacts.fetch(stored(artifacts, stage)[0]) for stage in ("fine_tune", "build_dataset"))
    given = Encoders().trained_scores(checkpoint, TASK.metrics.read(dataset, "test"))
    assert [pytest.approx(scores, abs=1e-4) for scores in SCORES] == given
