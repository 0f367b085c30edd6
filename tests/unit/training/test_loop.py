import copy
import json

import numpy as np
import pytest
import torch

from fakes.tiny_training import SECTION, opposites
from recflow.errors import BadConfiguration, TrainingDiverged
from recflow.training import loop
from recflow.training.encoder import Encoders
from recflow.training.gang import Gang
from recflow.training.loop import fit

QUERIES = list(opposites())


@pytest.fixture
def encoder(base):
    return Encoders().load(base, dropout=0.1)


def train(encoder, state, section=SECTION, queries=QUERIES, gang=None):
    start = copy.deepcopy(encoder)
    return fit(encoder, section, queries * 2, queries, base=start, scales=[5.0], gang=gang or Gang(), state=state)


def test_training_learns_what_the_start_does_not_know(encoder, tmp_path):
    fitted = train(encoder, tmp_path / "state", SECTION.model_copy(update={"epochs": 30}))
    curve = fitted.progress.curve
    assert curve[0].ndcg < 0.7
    assert fitted.progress.best_ndcg > 0.9


def test_the_best_weights_are_kept_and_not_the_last(encoder, tmp_path):
    wild = SECTION.model_copy(update={"learning_rate": 5.0})
    fitted = train(encoder, tmp_path / "state", wild)
    kept = loop._Run(encoder, encoder, SECTION, [5.0], Gang())._validation_ndcg(QUERIES)
    assert fitted.progress.curve[-1].ndcg < fitted.progress.best_ndcg
    assert kept == pytest.approx(fitted.progress.best_ndcg, abs=1e-6)


def test_training_stops_when_validation_gets_no_better(encoder, tmp_path):
    impatient = SECTION.model_copy(update={"patience": 1, "learning_rate": 1e-12, "epochs": 50})
    fitted = train(encoder, tmp_path / "state", impatient)
    assert fitted.progress.step < fitted.steps_planned


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_after", [2, 3, 7, 11])
def test_a_killed_run_resumes_and_ends_as_an_uninterrupted_one(base, tmp_path, killed_after, monkeypatch):
    whole = Encoders().load(base, dropout=0.1)
    expected = train(whole, tmp_path / "whole")
    cut = Encoders().load(base, dropout=0.1)
    step = loop._Run.step

    def dying(run, batch):
        if run.progress.step == killed_after:
            raise Killed
        step(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "step", dying)
        with pytest.raises(Killed):
            train(cut, tmp_path / "cut")
    resumed = Encoders().load(base, dropout=0.1)
    fitted = train(resumed, tmp_path / "cut")
    assert fitted.progress.curve == expected.progress.curve
    states = resumed.state_dict()
    assert all(torch.equal(tensor, states[name]) for name, tensor in whole.state_dict().items())


def test_a_resume_file_that_cannot_be_read_means_a_fresh_start(encoder, base, tmp_path):
    (tmp_path / "state").write_bytes(b"\x00" * 100)
    again = Encoders().load(base, dropout=0.1)
    expected = train(again, tmp_path / "other")
    assert train(encoder, tmp_path / "state").progress.curve == expected.progress.curve


def test_the_resume_file_is_safetensors_with_json(encoder, tmp_path):
    train(encoder, tmp_path / "state")
    data = (tmp_path / "state").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert json.loads(header["__metadata__"]["progress"])["step"] % 3 == 0
    assert any(name.startswith("optimizer.") for name in header)


def test_a_loss_that_is_no_number_ends_the_run(encoder, tmp_path):
    broken = [query.only(range(8)) for query in QUERIES]
    broken[0].offset[0] = np.nan
    with pytest.raises(TrainingDiverged, match="finite loss"):
        train(encoder, tmp_path / "state", queries=broken)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB")])
def test_no_memory_names_the_setting_to_lower(encoder, tmp_path, error):
    def grow(module, args):
        if module.training:
            raise error

    encoder.backbone.register_forward_pre_hook(grow)
    with pytest.raises(BadConfiguration, match=r"training\.token_budget"):
        train(encoder, tmp_path / "state")


def test_only_the_top_layers_move_when_the_recipe_says_so(encoder, base, tmp_path):
    train(encoder, tmp_path / "state", SECTION.model_copy(update={"trained_layers": 1, "epochs": 8}))
    start, end = Encoders().load(base).state_dict(), encoder.state_dict()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved
    assert all(".layer.1." in name for name in moved)


def test_more_layers_than_the_model_has_is_bad_configuration(encoder, tmp_path):
    with pytest.raises(BadConfiguration, match="trained_layers"):
        train(encoder, tmp_path / "state", SECTION.model_copy(update={"trained_layers": 3}))


def test_biases_and_norms_are_not_decayed(encoder):
    decayed, exempt = loop._groups(encoder, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert exempt["weight_decay"] == 0.0
    assert {tensor.dim() for tensor in exempt["params"]} == {1}


def test_bf16_trains_and_keeps_fp32_weights(encoder, tmp_path):
    fitted = train(encoder, tmp_path / "state", SECTION.model_copy(update={"precision": "bf16"}))
    assert fitted.progress.step > 0
    assert {tensor.dtype for tensor in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize(("step", "share"), [(0, 0.5), (1, 1.0), (6, 0.5), (9, 0.125)])
def test_the_rate_rises_and_then_falls_to_zero(step, share):
    assert loop._rate(step, warmup=2, steps=10) == pytest.approx(share)


def test_nothing_but_the_state_is_left_beside_it(encoder, tmp_path):
    train(encoder, tmp_path / "deep" / "state")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state"]


def test_the_result_is_mixed_with_the_base_by_its_share(base, tmp_path):
    ends = {}
    for share in (0.0, 0.5):
        encoder = Encoders().load(base)
        section = SECTION.model_copy(update={"base_share": share, "epochs": 1, "evaluations_per_epoch": 1})
        fitted = train(encoder, tmp_path / f"{share}", section)
        assert fitted.progress.best_step == fitted.steps_planned
        ends[share] = encoder.state_dict()
    start = Encoders().load(base).state_dict()
    for name, tensor in start.items():
        assert torch.allclose(ends[0.5][name], (tensor + ends[0.0][name]) / 2, atol=1e-6)
