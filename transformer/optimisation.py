"""What a run's configuration says of its optimiser and schedule, made of the engine's pieces."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu import Tensor, optim
from transformer.plan import TrainConfig

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(config: TrainConfig, parameters: Sequence[tuple[str, Tensor]]) -> optim.Optimizer:
    """Its rate is 0 until a schedule is set."""
    decay = config.weight_decay
    if config.optimizer in ("sgd", "nesterov"):
        return optim.SGD(parameters, 0.0, 0.9, config.optimizer == "nesterov", decay)
    if config.optimizer == "lion":
        return optim.Lion(parameters, 0.0, weight_decay=decay)
    kind = optim.AdamW if config.optimizer == "adamw" else optim.Adam
    return kind(parameters, 0.0, weight_decay=decay)


def make_schedule(config: TrainConfig, losses: Sequence[float]) -> optim.Schedule:
    """losses: of the validation after each epoch so far, which a plateau listens to."""
    steps = config.epochs * config.steps_per_epoch
    climb = min(config.warmup, steps)
    if config.schedule == "cosine":
        return optim.warmup_cosine(config.lr, climb, steps)
    if config.schedule == "step":  # a tenth after each third of the run
        return optim.warmup(optim.step_decay(config.lr, max(1, -(-(steps - climb) // 3))), climb)
    if config.schedule == "plateau":
        plateau = optim.Plateau(config.lr, 0.5, patience=1)
        for loss in losses:
            plateau.report(loss)
        return optim.warmup(plateau, climb)
    return optim.warmup(optim.constant(config.lr), climb)
