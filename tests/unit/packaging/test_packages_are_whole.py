import json

import pytest

from fakes.relevance import SERVING
from fakes.tiny_model import write_model, write_package
from recflow.artifacts.digests import digest_file
from recflow.config.recipe_loader import load_recipe
from recflow.config.sections.serving import PackagingSection
from recflow.errors import ArtifactCorrupt, BadConfiguration
from recflow.packaging.run import lay_out
from recflow.packaging.triton_config import render_config


def post_processing(code: str) -> PackagingSection:
    return PackagingSection(post_processing="reverse.py", post_processing_code=code)


def test_a_package_holds_the_model_the_adapter_and_the_golden_requests(tmp_path):
    package = write_package(tmp_path / "package")
    model = tmp_path / "package-model"
    added = {"model.py", "answers.py", "tensors.py"}
    assert {path.name for path in (package / "1").iterdir()} == {path.name for path in model.iterdir()} | added
    assert (package / "golden.json").read_bytes() == (model / "golden.json").read_bytes()


def test_the_summary_names_every_rule_by_its_digest(tmp_path):
    section = post_processing("def process(scores):\n    return scores\n")
    package = write_package(tmp_path / "package", section=section)
    rules = json.loads((package / "package.json").read_text())["rules"]
    assert set(rules) == {"answers.py", "model.py", "post_processing.py", "scoring.py", "tensors.py"}
    assert all(digest_file(package / "1" / name) == digest for name, digest in rules.items())


@pytest.mark.parametrize("rule", ["model.py", "answers.py", "tensors.py"])
def test_what_packaging_adds_never_imports_recflow(tmp_path, rule):
    source = (write_package(tmp_path / "package") / "1" / rule).read_text()
    assert "import recflow" not in source
    assert "from recflow" not in source


def test_the_configuration_joins_requests_and_limits_no_queue():
    config = render_config(
        PackagingSection(max_batch_size=8, instances=2, threads=3, max_queue_delay_us=7), SERVING.signature
    )
    for line in ("max_batch_size: 8", "count: 2", 'string_value: "3"', "max_queue_delay_microseconds: 7"):
        assert line in config
    assert config.count("allow_ragged_batch: true") == 2
    assert "queue_policy" not in config
    assert 'name: "' not in config.split("input")[0]


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("def process(scores:\n", "never closed"),
        ("def finish(scores):\n    return scores\n", "no function called process"),
        ("import numpy\n\ndef process(scores):\n    return scores\n", "it imports numpy"),
        ("from . import text\n\ndef process(scores):\n    return scores\n", "it imports ."),
        ("\0", "null bytes"),
    ],
)
def test_post_processing_that_cannot_be_served_is_refused(tmp_path, source, seen):
    with pytest.raises(BadConfiguration) as failure:
        write_package(tmp_path / "package", section=post_processing(source))
    assert seen in failure.value.seen


def test_a_recipe_holds_its_post_processing_as_it_was_when_the_recipe_was_read(tmp_path):
    (tmp_path / "reverse.py").write_text("def process(scores):\n    return scores\n")
    recipe = tmp_path / "shop.yaml"
    recipe.write_text("name: shop\nowner: search\npackaging:\n  post_processing: reverse.py\n")
    before = load_recipe(recipe).packaging
    (tmp_path / "reverse.py").write_text("def process(scores):\n    return scores[::-1]\n")
    assert before.post_processing == "reverse.py"
    assert load_recipe(recipe).packaging.post_processing_code.endswith("return scores[::-1]\n")
    package = write_package(tmp_path / "package", section=before)
    assert (package / "1" / "post_processing.py").read_text() == "def process(scores):\n    return scores\n"


def test_a_recipe_that_was_resolved_needs_the_file_no_more(tmp_path):
    (tmp_path / "reverse.py").write_text("def process(scores):\n    return scores\n")
    (tmp_path / "shop.yaml").write_text("name: shop\nowner: search\npackaging:\n  post_processing: reverse.py\n")
    recipe = load_recipe(tmp_path / "shop.yaml")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "recipe.json").write_text(recipe.model_dump_json())
    assert load_recipe(elsewhere / "recipe.json") == recipe


def test_a_recipe_with_a_missing_post_processing_file_is_refused_when_it_is_read(tmp_path):
    recipe = tmp_path / "shop.yaml"
    recipe.write_text("name: shop\nowner: search\npackaging:\n  post_processing: gone.py\n")
    with pytest.raises(BadConfiguration, match=r"gone\.py"):
        load_recipe(recipe)


def test_an_incomplete_model_is_refused_by_the_name_of_what_it_lacks(tmp_path):
    model = write_model(tmp_path / "model")
    (model / "tokenizer.json").unlink()
    with pytest.raises(ArtifactCorrupt, match=r"no tokenizer\.json"):
        lay_out(model, PackagingSection(), SERVING, tmp_path / "package")
