"""From a state to masks: score what is left, keep the best."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from pruning import registry
from pruning.errors import PruningError, unknown
from pruning.masks import mask as masking
from pruning.masks.threshold_rules import FRACTION_OF_WHAT_IS_LEFT, select_like
from pruning.models.build import norm_scale_names
from pruning.models.divisors import refuse_empty
from pruning.scores import ScoreContext
from pruning.training.arithmetic import arithmetic
from pruning.training.network import network_of
from pruning.training.state import State
from pruning.training.task import Task

ENDS = ("largest", "smallest")
RANKED = ("kernels", "kernels_and_norm_scales", "nothing")


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


@dataclass(frozen=True)
class Selection:
    """How masks are chosen, besides the score and the density.

    Attributes:
        scope: ``global`` or ``layerwise``.
        iterations: prune in so many rounds, scores computed anew in each; round k of n leaves the
            density d^(k/n) of what there was.
        keep: ``largest`` scores, or the ``smallest``: inversion, in every round.
        ranked: ``kernels``; ``kernels_and_norm_scales`` also ranks batch-norm scales, which is a
            fault that published reproductions have; ``nothing`` finds no weights to prune, another.
        score_options: what the score takes besides.
        sample: which training data to score on, options of the task's ``scoring_batches``.
        rule: ``exact``, or a threshold rule of :mod:`pruning.registry`.
    """

    scope: str = "global"
    iterations: int = 1
    keep: str = "largest"
    ranked: str = "kernels"
    score_options: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    rule: str = "exact"

    def __post_init__(self) -> None:
        if self.keep not in ENDS:
            raise unknown("end of the ranking", self.keep, ENDS)
        if self.ranked not in RANKED:
            raise unknown("set of ranked tensors", self.ranked, RANKED)
        if self.iterations < 1:
            raise PruningError(f"Pruning takes at least 1 iteration, not {self.iterations}.")
        if self.scope != "global" and self.rule != "exact":
            raise PruningError(f"The threshold rule {self.rule!r} ranks globally only.")


def prune(
    task: Task,
    state: State,
    density: float,
    *,
    score: str = "magnitude",
    seed: int = 0,
    purpose: tuple[str | int, ...] = ("prune",),
    **options: Any,
) -> masking.Masks:
    """Masks that keep the best-scored weights of a state; what was masked stays masked.

    Args:
        task: names the prunable weights and has the data to score on.
        state: what to score.
        density: fraction kept of all ranked weights, in (0, 1].
        score: a key of :data:`pruning.registry.SCORES`.
        seed, purpose: decide random draws of the score. The scoring data depend on the seed
            alone, so that all methods and levels of a replicate see the same.
        options: attributes of :class:`Selection`.

    Raises:
        PruningError: an unknown name or option, an impossible density, too few data to sample.
    """
    selection = Selection(**options)
    registry.entry("score", score)
    masking.kept_count(density, 1)  # refuses what is no density
    if not task.prunable():
        raise PruningError("Nothing of this network is prunable: it has no kernels, or all exempt.")
    model, current = scored_network(task, state, selection.ranked)
    if not current:
        return current
    if not any(mask.any() for mask in current.values()):
        raise PruningError("Earlier pruning left no weight, so there is nothing to rank.")
    check_sample(task, seed, selection.sample)
    batches = task.scoring_batches(seed, **selection.sample)
    before = masking.density(current)
    for done in range(1, selection.iterations + 1):
        target = _target(before, density, done, selection, current)
        context = ScoreContext(model, current, task, batches, seed, purpose)
        with arithmetic(task.recipe.threads):  # sums depend on how many threads make them
            scores = _scores(score, context, selection.score_options)
        current = _select(scores, target, selection, current)
        refuse_empty(model, current, task.name)
    return {name: mask.cpu() for name, mask in current.items()}


def check_sample(task: Task, seed: int, sample: Mapping[str, Any]) -> None:
    """Refuse to sample what to score on by what a kind of task does not count.

    Raises:
        PruningError: it says what the task counts by.
    """
    asked = inspect.signature(task.scoring_batches)
    try:
        asked.bind(seed, **sample)
    except TypeError:
        allowed = ", ".join(name for name in asked.parameters if name != "seed") or "nothing"
        raise PruningError(
            f"{task.name}: what to score on is said by {', '.join(sample)}, but this kind of task "
            f"counts it by: {allowed}."
        ) from None


def prune_weights(
    task: Task,
    state: State,
    *,
    density: float,
    score: str,
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
    **options: Any,
) -> Pruned:
    """:func:`prune` as a stage calls it; the density is the one that was asked for.

    Args:
        task, state, density, score, seed, purpose: of :func:`prune`.
        options: attributes of :class:`Selection`.

    Raises:
        PruningError: see :func:`prune`.
    """
    masks = prune(task, state, density, score=score, seed=seed, purpose=purpose, **options)
    masks = masks or masks_so_far(state, task.prunable())
    return Pruned(masks, masks, density)


def scored_network(
    task: Task, state: State, ranked: str = "kernels"
) -> tuple[nn.Module, masking.Masks]:
    """The network with a state's weights, and the masks so far of what is ranked, on its device."""
    model = network_of(task, state)
    names = {
        "kernels": task.prunable(),
        "kernels_and_norm_scales": [*task.prunable(), *norm_scale_names(model)],
        "nothing": [],
    }[ranked]
    masks = masks_so_far(state, names)
    return model.to(task.device), {name: mask.to(task.device) for name, mask in masks.items()}


def masks_so_far(state: State, names: list[str]) -> masking.Masks:
    """A state's masks of these tensors; what has none is kept whole."""
    return {
        name: state.masks.get(name, mask)
        for name, mask in masking.dense(state.weights, names).items()
    }


def surviving(task: Task, state: State) -> tuple[dict[str, Tensor], masking.Masks]:
    """The prunable weights of a state with masked entries zero, and the masks so far."""
    current = masks_so_far(state, task.prunable())
    return masking.apply(current, {name: state.weights[name] for name in current}), current


def _target(
    before: float, density: float, done: int, selection: Selection, current: masking.Masks
) -> float:
    """The density to aim at in a round."""
    if selection.rule in FRACTION_OF_WHAT_IS_LEFT:
        return masking.density(current) * (density / before) ** (1 / selection.iterations)
    if done == selection.iterations:
        return density
    return before * (density / before) ** (done / selection.iterations)


def score_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a score: those given, and its defaults for the rest.

    Raises:
        PruningError: no such score, or it has no such option.
    """
    parameters = inspect.signature(registry.find("score", name)).parameters
    defaults = {p.name: p.default for p in list(parameters.values())[1:]}
    for option in options:
        if option not in defaults:
            raise PruningError(
                f"The score {name!r} has no option {option!r}. "
                f"Its options: {', '.join(defaults) or 'none'}."
            )
    return {**defaults, **options}


def _scores(name: str, context: ScoreContext, options: Mapping[str, Any]) -> Mapping[str, Tensor]:
    return registry.find("score", name)(context, **score_options(name, options))


def _select(
    scores: Mapping[str, Tensor], density: float, selection: Selection, within: masking.Masks
) -> masking.Masks:
    scores = masking.comparable(scores)
    if selection.keep == "smallest":
        scores = {name: -score for name, score in scores.items()}
    if selection.rule == "exact":
        return masking.select(scores, density, selection.scope, within=within)
    masks = select_like(selection.rule, scores, density, within)
    left, total = masking.counts(masks)
    if not left:
        raise PruningError(
            f"The threshold rule {selection.rule!r} leaves none of {total} weights at density "
            f"{density:.3g}: it removes all weights whose scores equal the threshold. Prune less, "
            "in fewer iterations, or by the exact rule."
        )
    return masks
