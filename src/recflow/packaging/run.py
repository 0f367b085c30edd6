"""From a model artifact to a folder that Triton serves: tokenizer, model and post-processing as one."""

import json
import shutil
from pathlib import Path
from typing import Any

from recflow.artifacts.digests import digest_file
from recflow.artifacts.refs import RefKind
from recflow.config.sections.serving import PackagingSection
from recflow.domain import answers
from recflow.domain.golden import GOLDEN
from recflow.errors import ArtifactCorrupt
from recflow.packaging.post_processing import refuse_unservable
from recflow.packaging.triton_config import render_config
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import ADAPTER, SUMMARY, Serving, Task

_ADDED = (Path(__file__).with_name("model.py"), Path(str(answers.__file__)))
_NEEDED = ("scoring.py", GOLDEN)


def run(context: StageContext, *, task: Task) -> StageOutput:
    """Lay out the Triton model folder of the model artifact `model`.

    Raises BadConfiguration for a post-processing file that cannot be served, ArtifactCorrupt for an incomplete model.
    """
    context.one("model").expect(RefKind.MODEL)
    lay_out(context.folder("model"), context.recipe.packaging, task.serving, context.output)
    return StageOutput(numbers={"size_mb": round(_size_mb(context.output), 2)})


def lay_out(model: Path, section: PackagingSection, serving: Serving[Any], output: Path) -> None:
    """Write the package of a model folder into the empty folder `output`; the folder's name is not part of it."""
    _refuse_incomplete(model, (*_NEEDED, *serving.model_files))
    refuse_unservable(section, ordered=serving.ordered)
    served = output / "1"
    shutil.copytree(model, served)
    for rule in _ADDED:
        shutil.copyfile(rule, served / rule.name)
    shutil.copyfile(serving.adapter, served / ADAPTER)
    if section.post_processing:
        (served / "post_processing.py").write_text(section.post_processing_code, encoding="utf-8")
    (output / "config.pbtxt").write_text(render_config(section, serving.signature), encoding="utf-8")
    shutil.copyfile(model / GOLDEN, output / GOLDEN)
    _write_summary(output, serving)


def _refuse_incomplete(model: Path, needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if not (model / name).is_file()]
    if missing:
        raise ArtifactCorrupt(
            "the model artifact is incomplete", expected=", ".join(needed), seen=f"no {', '.join(missing)}"
        )


def _write_summary(output: Path, serving: Serving[Any]) -> None:
    """package.json: the signature, and the digest of every rule (Python file) that the server will run."""
    rules = {path.name: digest_file(path) for path in sorted((output / "1").glob("*.py"))}
    summary = {
        "schema_version": 1,
        "rules": rules,
        "post_processing": "post_processing.py" in rules,
        "signature": serving.signature.model_dump(mode="json"),
    }
    (output / SUMMARY).write_text(json.dumps(summary, indent=1, sort_keys=True), encoding="utf-8")


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
