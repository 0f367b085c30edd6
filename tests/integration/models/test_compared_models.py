"""Two real packages, a fine-tuned MiniLM in ONNX and the same with its order turned, compared on held-out queries."""

import pytest

from fakes.small_models import write_dataset
from fakes.trained_line import small_recipe, small_splits
from recflow.artifacts.refs import RefKind
from recflow.config.settings import Settings
from recflow.training.encoder import Encoders
from recflow.wiring.comparisons import compare_lines
from recflow.wiring.services import Services

REVERSING = "def process(scores):\n    return [-score for score in scores]\n"


class Installation(Services):
    """The services of a command over the bench of a trained line."""

    def __init__(self, root, bench):
        super().__init__(Settings(home=root / "home", recipes=root))
        self.clock, self.store, self.artifacts, self.encoders = bench.clock, bench.store, bench.artifacts, Encoders()


@pytest.fixture(scope="module")
def compared(trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("compared")
    folder = write_dataset(root / "held-out", small_splits())
    (folder / "recipe.json").write_text(small_recipe().model_dump_json())
    trained.bench.clock.tick(60)
    trained.bench.publish(RefKind.DATASET, folder)
    turned = small_recipe(packaging={"post_processing": "post.py", "post_processing_code": REVERSING})
    words = [trained.pack(trained.model, recipe=recipe).model_dump_json() for recipe in (small_recipe(), turned)]
    return compare_lines(Installation(root, trained.bench), *words)


def test_the_turned_one_is_worse_than_the_other_and_than_both_floors(compared):
    main = compared.found.metrics[0]
    assert main.better.high < 0
    assert main.losses > 20 > main.wins
    assert {floor.name for floor in compared.found.floors} == {"bm25", "untrained"}
    assert all(floor.b_better.high < 0 for floor in compared.found.floors)


def test_both_take_time_for_a_request_and_differ_in_their_post_processing_alone(compared):
    assert all(0 < latency.p50_ms <= latency.p95_ms for latency in compared.found.latency)
    assert [change.partition(":")[0] for change in compared.changes] == ["packaging.post_processing_code"]
    assert compared.warnings == ()
