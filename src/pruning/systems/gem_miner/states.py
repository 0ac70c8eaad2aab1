"""From a network's state to one that a search starts from, and from what it ends in back again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pruning.errors import PruningError
from pruning.masks.mask import Masks
from pruning.masks.weights import Pruned
from pruning.seeds import generator
from pruning.systems.gem_miner.parametrization import (
    KINDS,
    buffer_name,
    original_name,
    scores_name,
)
from pruning.systems.gem_miner.rules import Search
from pruning.systems.gem_miner.scores import draw
from pruning.training.state import State
from pruning.training.task import Task


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        state: the network as it is trained: its weights as the search got them, bit for bit (but
            for a ``fan_share``), and the batch-norm statistics that the search left.
        kept: q, the weights that were not frozen out; where none can be, the last mask.
        active: r(p) * q, what the network of the search's last scores computes with.
        scores: the last ones.
    """

    state: State
    kept: Masks
    active: Masks
    scores: Mapping[str, Tensor]

    def masks(self, unflag: bool) -> Masks:
        """What is trained next.

        Args:
            unflag: give weights back that the penalty rounded to zero without freezing them: all
                scores become 1, and the mask is q alone.
        """
        return self.kept if unflag else self.active


def draw_scores(
    state: State, names: Sequence[str], search: Search, seed: int, *purpose: str | int
) -> dict[str, Tensor]:
    """The scores that a search starts from; each tensor draws from a generator of its own."""
    return {
        name: draw(
            search.score_initialization,
            tuple(state.weights[name].shape),
            generator(seed, *purpose, "scores", name),
        )
        for name in names
    }


def parametrized_state(
    state: State, search: Search, scores: Mapping[str, Tensor], slots: Sequence[Tensor]
) -> State:
    """The state that a search starts from.

    Args:
        state: dense; weights and buffers are taken, optimizer slots and step are not.
        search: how it is set.
        scores: by the name of the prunable weight.
        slots: the flags or thresholds that belong to them.

    Raises:
        PruningError: the state has masks.
    """
    if state.masks:
        raise PruningError("A search starts from a dense state, and this one has masks.")
    weights, buffers = dict(state.weights), dict(state.buffers)
    for (name, score), slot in zip(scores.items(), slots, strict=True):
        weight = weights.pop(name)
        if search.fan_share != 1:
            weight = weight / search.fan_share**0.5
        weights[original_name(name)], weights[scores_name(name)] = weight, score
        buffers[buffer_name(name, search.row.mask)] = slot.clone()
    return State(weights, buffers)


def found(state: State, names: Sequence[str], mask: str) -> Found:
    """What a search's state holds, as a plain network's state, masks and scores.

    Args:
        state: that a search ended in.
        names: of the prunable weights.
        mask: how the search's method makes a mask of scores.

    Raises:
        PruningError: the state is of no such search.
    """
    kind = KINDS[mask]
    missing = [name for name in names if buffer_name(name, mask) not in state.buffers]
    if missing:
        raise PruningError(f"This is no state of a search: it has no scores of {missing[0]!r}.")
    weights, buffers = dict(state.weights), dict(state.buffers)
    scores, kept, active = {}, {}, {}
    for name in names:
        weights[name] = weights.pop(original_name(name))
        scores[name] = weights.pop(scores_name(name))
        slot = buffers.pop(buffer_name(name, mask))
        kept[name], active[name] = kind.kept(scores[name], slot), kind.active(scores[name], slot)
    return Found(State(weights, buffers), kept, active, scores)


def found_masks(
    task: Task,
    state: State,
    *,
    density: float,
    mask: str,
    unflag: bool,
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
) -> Pruned:
    """The masks that a search found, as a stage cuts them; nothing is scored.

    Args:
        task: names the prunable weights.
        state: that the search ended in.
        density: that it aimed at.
        mask: how its method makes a mask of scores.
        unflag: see :meth:`Found.masks`.
        seed, purpose: taken for the sake of the common signature; nothing is drawn.

    Raises:
        PruningError: the state is of no such search.
    """
    del seed, purpose
    masks = found(state, task.prunable(), mask).masks(unflag)
    return Pruned(masks, masks, density)
