"""The training loop: one optimiser step a batch, the best checkpoint kept, resumable at any step.

Chance follows from (seed, step, rank) alone, so that a resumed run equals an uninterrupted one.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recflow.config.sections.training import TrainingSection
from recflow.domain.ranking import ndcg
from recflow.errors import BadConfiguration, TrainingDiverged
from recflow.training.batches import TokenisedQuery, epoch_batches
from recflow.training.encoder import Encoder, embed
from recflow.training.gang import Gang
from recflow.training.loss import LOSSES
from recflow.training.progress import Point, Progress, Weights, load_progress, save_progress

log = logging.getLogger(__name__)

_JUDGED_AT_ONCE = 256  # validation queries whose vectors are held beside each other


@dataclass(frozen=True)
class Fitted:
    """What training gave: the best weights are in the encoder; where they were found, and by how many processes."""

    progress: Progress
    steps_planned: int
    processes: int

    def report(self) -> dict[str, Any]:
        """What `training.json` says: `gang` is the number of processes."""
        return {"planned_steps": self.steps_planned, "gang": self.processes, **self.progress.model_dump(mode="json")}


def fit(
    encoder: Encoder,
    section: TrainingSection,
    train: Sequence[TokenisedQuery],
    validation: Sequence[TokenisedQuery],
    *,
    base: Encoder,
    scales: Sequence[float],
    gang: Gang,
    state: Path,
) -> Fitted:
    """Train the encoder in place and leave the best checkpoint's weights in it.

    A score is the views' cosines times `scales`, plus the query's offset. What is judged and kept is the
    trained encoder mixed with the base model's weights by `base_share` (Wortsman et al. 2022); the start is the first
    candidate for the best. `state` is the file that a killed run resumes from.
    Raises TrainingDiverged for a loss that is no number and BadConfiguration when a batch does not fit into memory.
    """
    run = _Run(encoder.to(gang.device), base, section, scales, gang)
    epochs = [epoch_batches(train, section.token_budget, section.seed, epoch) for epoch in range(section.epochs)]
    places = [(epoch, place) for epoch, batches in enumerate(epochs) for place in range(len(batches))]
    stops = _evaluation_steps([epoch for epoch, _ in places], section.evaluations_per_epoch)
    run.plan(len(places))
    if not run.resume(state):
        run.evaluate(validation)  # where it starts from
    for epoch, place in places[run.progress.step :]:
        if run.progress.stale >= section.patience:
            break
        run.step(epochs[epoch][place])
        if run.progress.step in stops:
            run.evaluate(validation)
        if gang.leads and run.progress.step % section.checkpoint_every_steps == 0:
            save_progress(state, run.progress, encoder, run.best, run.optimizer)
    encoder.load_state_dict(run.best, strict=False)
    encoder.eval()
    return Fitted(run.progress, len(places), gang.size)


class _Run:
    """The moving parts of one training."""

    def __init__(
        self, encoder: Encoder, base: Encoder, section: TrainingSection, scales: Sequence[float], gang: Gang
    ) -> None:
        self.encoder, self.section, self.gang = encoder, section, gang
        self.base = {name: tensor.detach().to(gang.device) for name, tensor in base.named_parameters()}
        self.half = section.precision == "bf16" or (section.precision == "auto" and _has_bf16(gang.device))
        self.scales = torch.tensor(scales, device=gang.device)
        freeze_below(encoder, section.trained_layers)
        self.trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(_groups(encoder, section.weight_decay), lr=section.learning_rate)
        self.progress = Progress()
        self.best: Weights = {}

    def plan(self, steps: int) -> None:
        """Fix how many steps the schedule spans."""
        self.steps = steps
        self.warmup = max(1, round(self.section.warmup_share * steps))

    def resume(self, state: Path) -> bool:
        """Go on from a saved state when there is one."""
        loaded = load_progress(state, self.encoder, self.optimizer)
        if loaded is None:
            return False
        self.progress, self.best = loaded
        log.info("training resumes after step %d of %d", self.progress.step, self.steps)
        return True

    def step(self, batch: Sequence[TokenisedQuery]) -> None:
        """One optimiser step; each process takes its share of the batch's queries."""
        began = time.perf_counter()
        done = self.progress.step
        torch.manual_seed((self.section.seed * 1_000_003 + done) * 64 + self.gang.rank)
        rate = self.section.learning_rate * _rate(done, self.warmup, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.encoder.train()
        self.optimizer.zero_grad(set_to_none=False)
        loss = self._descend(batch)
        torch.nn.utils.clip_grad_norm_(self.trained, self.section.max_grad_norm)
        self.optimizer.step()
        self.progress = self.progress.model_copy(
            update={
                "step": done + 1,
                "loss_sum": self.progress.loss_sum + loss,
                "loss_steps": self.progress.loss_steps + 1,
                "examples": self.progress.examples + sum(len(query.grades) for query in batch),
                "seconds": self.progress.seconds + time.perf_counter() - began,
            }
        )

    def _descend(self, batch: Sequence[TokenisedQuery]) -> float:
        share = batch[self.gang.rank :: self.gang.size]
        try:
            loss = self._loss(share) / len(batch) if share else torch.zeros(())
            if share:
                loss.backward()
        except (MemoryError, RuntimeError) as error:
            raise _explained(error, self.section.token_budget) from error
        total = float(self.gang.total(loss.detach().clone()))
        self._sum_gradients()
        if not torch.isfinite(torch.tensor(total)) or not self._gradients_finite():
            raise TrainingDiverged(f"training at step {self.progress.step}", expected="a finite loss", seen=f"{total}")
        return total

    def _loss(self, queries: Sequence[TokenisedQuery]) -> Tensor:
        lose = LOSSES[self.section.loss]
        device = self.gang.device
        parts = [
            lose(score, torch.tensor(query.grades, device=device), torch.tensor(query.weights, device=device))
            for query, score in zip(queries, self._scores(queries), strict=True)
        ]
        return torch.stack(parts).sum()

    def _scores(self, queries: Sequence[TokenisedQuery]) -> list[Tensor]:
        texts = [query.query for query in queries]
        texts += [text for query in queries for view in query.views for text in view]
        with torch.autocast(self.gang.device.split(":")[0], torch.bfloat16, enabled=self.half):
            vectors = embed(self.encoder, texts, self.gang.device)
        scores, start = [], len(queries)
        for row, query in enumerate(queries):
            views, items = len(query.views), len(query.grades)
            stop = start + views * items
            cosines = (vectors[start:stop] @ vectors[row]).view(views, items)
            scores.append(self.scales @ cosines + torch.tensor(query.offset, device=self.gang.device))
            start = stop
        return scores

    def _sum_gradients(self) -> None:
        if self.gang.size == 1:
            return
        for parameter in self.trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = self.gang.total(
            torch.cat([parameter.grad.flatten() for parameter in self.trained if parameter.grad is not None])
        )
        for parameter, part in zip(self.trained, flat.split([p.numel() for p in self.trained]), strict=True):
            parameter.grad = part.view_as(parameter)

    def _gradients_finite(self) -> bool:
        return all(bool(torch.isfinite(p.grad).all()) for p in self.trained if p.grad is not None)

    def evaluate(self, validation: Sequence[TokenisedQuery]) -> None:
        """Measure nDCG@10 on validation queries and keep the weights when they are the best so far."""
        trained = _weights(self.encoder)
        self._put({name: torch.lerp(tensor, self.base[name], self._base_share()) for name, tensor in trained.items()})
        mean = self._validation_ndcg(validation)
        progress = self.progress
        loss = progress.loss_sum / progress.loss_steps if progress.loss_steps else 0.0
        log.info("step %d of %d: loss %.4f, validation nDCG@10 %.4f", progress.step, self.steps, loss, mean)
        better = mean > progress.best_ndcg
        if better:
            self.best = _weights(self.encoder)
        self._put(trained)
        self.progress = progress.model_copy(
            update={
                "curve": (*progress.curve, Point(step=progress.step, loss=loss, ndcg=mean)),
                "best_step": progress.step if better else progress.best_step,
                "best_ndcg": max(mean, progress.best_ndcg),
                "stale": 0 if better else progress.stale + 1,
                "loss_sum": 0.0,
                "loss_steps": 0,
            }
        )

    def _base_share(self) -> float:
        """The start is judged as it is; everything trained, mixed with the base."""
        return self.section.base_share if self.progress.step else 0.0

    def _put(self, weights: Weights) -> None:
        with torch.no_grad():
            for name, parameter in self.encoder.named_parameters():
                parameter.copy_(weights[name])

    def _validation_ndcg(self, validation: Sequence[TokenisedQuery]) -> float:
        self.encoder.eval()
        values: list[float | None] = []
        for start in range(self.gang.rank, len(validation), self.gang.size * _JUDGED_AT_ONCE):
            share = validation[start : start + self.gang.size * _JUDGED_AT_ONCE : self.gang.size]
            with torch.inference_mode():
                scores = self._scores(share)
            values += [ndcg(query.grades.tolist(), s.tolist()) for query, s in zip(share, scores, strict=True)]
        known = [value for value in values if value is not None]
        found = self.gang.total(torch.tensor([sum(known), len(known)], dtype=torch.float64, device=self.gang.device))
        return float(found[0] / found[1].clamp(min=1))


def _weights(encoder: Encoder) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in encoder.named_parameters()}


def _has_bf16(device: str) -> bool:
    """Whether the processor multiplies bf16 itself; where it does not, bf16 is slower than fp32."""
    return device != "cpu" or bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - torch has no public way


def freeze_below(encoder: Encoder, layers: int) -> None:
    """Leave only the top `layers` transformer layers trainable; 0 leaves everything so."""
    if layers == 0:
        return
    stack = getattr(getattr(encoder.backbone, "encoder", encoder.backbone), "layer", None)
    if stack is None or layers > len(stack):
        raise BadConfiguration(
            "training.trained_layers cannot be used with this base model",
            expected="at most its number of layers" if stack is not None else "a model with encoder.layer",
            seen=f"{layers} of {len(stack) if stack is not None else 'unknown'}",
        )
    kept = {id(parameter) for layer in stack[-layers:] for parameter in layer.parameters()}
    for parameter in encoder.parameters():
        parameter.requires_grad_(id(parameter) in kept)


def _groups(encoder: Encoder, decay: float) -> list[dict[str, object]]:
    named = [(name, parameter) for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    plain = [parameter for name, parameter in named if parameter.dim() > 1]
    exempt = [parameter for name, parameter in named if parameter.dim() <= 1]  # biases and norms
    return [{"params": plain, "weight_decay": decay}, {"params": exempt, "weight_decay": 0.0}]


def _rate(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then linear decay to 0 at the end."""
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


def _evaluation_steps(epochs: Sequence[int], per_epoch: int) -> set[int]:
    stops, start = set(), 0
    for epoch in sorted(set(epochs)):
        size = epochs.count(epoch)
        stops |= {start + round(size * part / per_epoch) for part in range(1, per_epoch + 1)}
        start += size
    return stops


def _explained(error: MemoryError | RuntimeError, budget: int) -> Exception:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return BadConfiguration(
            "a training batch does not fit into memory",
            expected="room for one batch",
            seen=str(error)[:200],
            action=f"lower training.token_budget (now {budget}) in the recipe",
        )
    return error
