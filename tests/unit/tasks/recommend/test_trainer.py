from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.made_recommender import CYCLE, OPTIONS, asked, cycle_dataset, round_the_cycle, scorer, trained
from fakes.stored_histories import acts, write_dataset
from recflow.compression.own import write_model
from recflow.errors import ArtifactCorrupt, BadConfiguration, BadData
from recflow.tasks.recommend.checkpoint import load_checkpoint
from recflow.tasks.recommend.encoder import SequenceEncoder
from recflow.tasks.recommend.task import TASK
from recflow.tasks.recommend.trainer import RecommendTrainer

QUICK = OPTIONS.model_copy(update={"epochs": 1})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return cycle_dataset(tmp_path_factory.mktemp("cycle"))


@pytest.fixture(scope="module")
def checkpoint(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    trained(OPTIONS, dataset, folder)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_registry_is_told_epochs_examples_and_validation_ndcg(dataset, tmp_path):
    told = trained(OPTIONS, dataset, tmp_path / "checkpoint")
    assert told["examples"] == told["epochs"] * 60 * 5
    assert told["validation_ndcg"] > 0.95
    assert told["warm_start"] == 0


def test_the_same_inputs_give_the_same_files(dataset, tmp_path):
    for name in ("one", "other"):
        trained(QUICK, dataset, tmp_path / name)
        (tmp_path / f"{name}-model").mkdir()
        write_model(TASK, RecommendTrainer(), tmp_path / name, tmp_path / f"{name}-model")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert contents(tmp_path / "one-model") == contents(tmp_path / "other-model")


def test_the_packaged_model_gives_the_vectors_that_torch_gives(checkpoint, tmp_path):
    packaged, stored = scorer(checkpoint, tmp_path / "model"), load_checkpoint(checkpoint)
    encoder = SequenceEncoder(stored.size, 0.0)
    weights = {name: torch.from_numpy(values) for name, values in stored.weights.items()}
    encoder.load_state_dict({name[8:]: tensor for name, tensor in weights.items() if name.startswith("encoder.")})
    for length in (1, 2, 7, stored.size.length):
        codes = np.arange(length) % 12
        history = torch.from_numpy(stored.item_vectors[codes])[None]
        with torch.inference_mode():
            state = encoder.eval()(history, torch.zeros(1, length, 4, dtype=torch.long))[0, -1].numpy()
        sequence, _ = packaged.parts(asked(*(CYCLE[code] for code in codes)))
        assert sequence == pytest.approx(stored.item_vectors @ state, abs=1e-4)


def test_a_warm_start_knows_what_the_parent_knew_and_takes_new_items_in(checkpoint, tmp_path):
    splits = {
        "train": [
            *round_the_cycle("t", 60),
            *(act for user in range(60) for act in acts(f"n{user}", ["a new one", "i05"])),
        ],
        "validation": [*round_the_cycle("v", 12, history=5), *acts("w", ["a new one", "i05"], history=1)],
    }
    dataset = write_dataset(tmp_path / "dataset", splits)
    warm = OPTIONS.model_copy(update={"warm_epochs": 10})
    told = trained(warm, dataset, tmp_path / "warm", checkpoint)
    cold = trained(QUICK, dataset, tmp_path / "cold")
    assert told["warm_start"] == 1
    assert told["sequence_validation_ndcg"] > cold["sequence_validation_ndcg"]
    ((chosen, _),) = scorer(tmp_path / "warm", tmp_path / "model").score_many([asked("a new one", k=1)])
    assert chosen[0][0] == "i05"


@pytest.mark.parametrize("other", [{"start": "nothing"}, {"width": 8}])
def test_training_starts_anew_where_the_recipe_says_so_or_the_parent_has_another_size(
    other, dataset, checkpoint, tmp_path
):
    assert trained(QUICK.model_copy(update=other), dataset, tmp_path / "checkpoint", checkpoint)["warm_start"] == 0


def test_a_new_item_is_shown_for_its_text(tmp_path):
    texts = {name: ("red shoe" if place % 2 else "blue hat") for place, name in enumerate(CYCLE)}
    rows = [act for user in range(60) for act in acts(f"u{user}", [CYCLE[(user + 2 * step) % 12] for step in range(5)])]
    dataset = write_dataset(
        tmp_path / "dataset", {"train": rows}, texts={**texts, "new-1": "red shoe", "new-2": "blue hat"}
    )
    trained(OPTIONS.model_copy(update={"id_dropout": 0.5, "epochs": 10}), dataset, tmp_path / "checkpoint")
    ((chosen, _),) = scorer(tmp_path / "checkpoint", tmp_path / "model").score_many([asked("i01", "i03", k=100)])
    places = {name: place for place, (name, _) in enumerate(chosen)}
    assert places["new-1"] < places["new-2"]


def test_without_validation_users_every_epoch_is_trained(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", {"train": round_the_cycle("t", 12)})
    told = trained(OPTIONS.model_copy(update={"epochs": 3}), dataset, tmp_path / "checkpoint")
    assert (told["epochs"], told["validation_ndcg"]) == (3, 0)


def test_many_items_are_sampled_from(dataset, tmp_path):
    told = trained(OPTIONS.model_copy(update={"candidates": 4}), dataset, tmp_path / "checkpoint")
    assert told["sequence_validation_ndcg"] > 0.8


def test_histories_in_which_nothing_follows_are_refused(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", {"train": [*acts("a", ["x"]), *acts("b", ["y"])]})
    with pytest.raises(BadData, match="no training history has two acts"):
        trained(QUICK, dataset, tmp_path / "checkpoint")


def test_heads_that_do_not_divide_the_width_are_refused(dataset, tmp_path):
    with pytest.raises(BadConfiguration, match=r"training\.heads"):
        trained(QUICK.model_copy(update={"heads": 3}), dataset, tmp_path / "checkpoint")


def test_a_checkpoint_that_is_none_is_told(tmp_path):
    with pytest.raises(ArtifactCorrupt, match="cannot be read"):
        load_checkpoint(Path(tmp_path))
