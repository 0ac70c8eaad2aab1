"""From a state to masks: score what is left, keep the best."""

from dataclasses import dataclass

from torch import Tensor

from pruning import masks as masking
from pruning import registry
from pruning.scores import ScoreContext
from pruning.training.state import State
from pruning.training.task import Task


@dataclass(frozen=True)
class Pruned:
    """What a pruning leaves.

    Attributes:
        masks: what training keeps.
        remaining: the masks of what costs anything; differs from ``masks`` where whole filters go
            and take the inputs of the next layer with them.
        density: as the method counts it, and as figures show it.
    """

    masks: masking.Masks
    remaining: masking.Masks
    density: float


def prune(
    task: Task,
    state: State,
    density: float,
    *,
    score: str = "magnitude",
    scope: str = "global",
    seed: int = 0,
    purpose: tuple[str | int, ...] = ("prune",),
) -> masking.Masks:
    """Masks that keep the best-scored weights of a state; what was masked stays masked.

    Args:
        task: names the prunable weights.
        state: what to score.
        density: fraction kept of all prunable weights, in (0, 1].
        score: a key of :data:`pruning.registry.SCORES`.
        scope: ``global`` or ``layerwise``.
        seed, purpose: decide random draws of the score.

    Raises:
        PruningError: unknown score or scope, or an impossible density.
    """
    weights, current = surviving(task, state)
    context = ScoreContext(weights, current, seed, purpose)
    scores = registry.find("score", score)(context)
    return masking.select(scores, density, scope, within=current)


def prune_weights(
    task: Task,
    state: State,
    *,
    density: float,
    score: str,
    scope: str,
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
) -> Pruned:
    """:func:`prune` as a stage calls it; the density is the one that was asked for."""
    masks = prune(task, state, density, score=score, scope=scope, seed=seed, purpose=purpose)
    return Pruned(masks, masks, density)


def surviving(task: Task, state: State) -> tuple[dict[str, Tensor], masking.Masks]:
    """The prunable weights of a state with masked entries zero, and the masks so far."""
    current = {
        name: state.masks.get(name, mask)
        for name, mask in masking.dense(state.weights, task.prunable()).items()
    }
    return masking.apply(current, {name: state.weights[name] for name in current}), current
