"""Training of a tiny encoder on rules that only labels tell; runs alone or as one rank of a gang."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fakes.small_models import COLOURS, THINGS
from recflow.config.sections.training import TrainingSection
from recflow.errors import RecflowError
from recflow.training.batches import TokenisedQuery
from recflow.training.encoder import Encoders
from recflow.training.gang import join_gang
from recflow.training.loop import fit

WORDS = {word: 4 + index for index, word in enumerate((*COLOURS, *THINGS))}
SECTION = TrainingSection(
    learning_rate=3e-3,
    epochs=4,
    token_budget=128,
    similarity_scale=5,
    checkpoint_every_steps=3,
    patience=9,
    trained_layers=0,
    base_share=0,
    dropout=0.1,
    precision="fp32",
)


def opposites(colours: Sequence[str] = COLOURS) -> Iterator[TokenisedQuery]:
    """Queries whose best item shares no word with them: `red` wants `shoe`, and so on."""
    ones = np.ones(len(THINGS), dtype=np.float32)
    items = tuple((2, WORDS[thing], 3) for thing in THINGS)
    for number, colour in enumerate(colours):
        grades = np.array([3.0 * (index == number) for index in range(len(THINGS))], dtype=np.float32)
        yield TokenisedQuery((2, WORDS[colour], 3), (items,), grades, ones, ones * 0)


def train_tiny(base: Path, out: Path, *, seeds: Sequence[int], dropout: float) -> None:
    """Train once a seed and write losses and nDCG; ends the process with the error's exit code."""
    queries, found = list(opposites()), []
    try:
        with join_gang(threads=1) as gang:
            for seed in seeds:
                section = SECTION.model_copy(update={"seed": seed, "epochs": 2})
                encoder = Encoders().load(base, dropout=dropout)
                state = out.with_suffix(f".{seed}.state")
                fitted = fit(encoder, section, queries, queries, base=encoder, scales=[5.0], gang=gang, state=state)
                state.unlink(missing_ok=True)
                Path(f"{out}.started").touch()
                curve = fitted.progress.curve
                losses = [point.loss for point in curve]
                found.append({"ndcg": curve[-1].ndcg, "losses": losses, "gang": fitted.report()["gang"]})
            if gang.leads:
                out.write_text(json.dumps(found))
    except RecflowError as error:
        sys.exit(error.exit_code)
