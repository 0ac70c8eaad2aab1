"""From a state to masks: score what is left, keep the best."""

from pruning import masks as masking
from pruning import registry
from pruning.scores import ScoreContext
from pruning.training.state import State
from pruning.training.task import Task


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
    names = task.prunable()
    current = {
        name: state.masks.get(name, mask)
        for name, mask in masking.dense(state.weights, names).items()
    }
    weights = masking.apply(current, {name: state.weights[name] for name in names})
    context = ScoreContext(weights, current, seed, purpose)
    scores = registry.find("score", score)(context)
    return masking.select(scores, density, scope, within=current)
