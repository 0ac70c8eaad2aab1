"""Searching a random network for a subnetwork: scores are trained, weights stay as they are.

Sreenivasan et al. (NeurIPS 2022), Algorithm 1, and the Edge-Popup family that it is compared with.
What a search does is a callback of the training loop: the network is parametrized
(:mod:`pruning.systems.gem_miner.parametrization`), a penalty changes the scores' gradients, scores
are clipped after every step, and weights are frozen out when epochs are over.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pruning.errors import PruningError, TrainingDiverged
from pruning.masks.order_statistics import count
from pruning.systems.gem_miner import schedule, states
from pruning.systems.gem_miner.parametrization import (
    KINDS,
    Masked,
    Rounded,
    buffer_name,
    parametrized,
)
from pruning.systems.gem_miner.rules import PENALTIES, Search
from pruning.systems.gem_miner.selection import WHY_EMPTY, freeze, share, thresholds
from pruning.training.callback import Callback, EpochEnd, Row
from pruning.training.loop import Run, Trained, train
from pruning.training.recipe import Recipe, Timeline
from pruning.training.resume import ResumeFile
from pruning.training.state import State, capture
from pruning.training.task import Task

log = logging.getLogger("pruning")


class Searching(Callback):
    """What a search does while its scores train; :func:`searching` makes the right kind.

    Its columns, of what training goes on from: ``kept_density``, the share of weights that are not
    frozen out; ``active_density``, of those that the mask of this moment keeps; ``penalty``, lambda
    times the penalty of all scores, frozen ones included.

    Args:
        search: how it is set.
        names: of the prunable weights.
        epochs: how many the search has.

    Raises:
        PruningError: it is over before anything is frozen.
    """

    def __init__(self, search: Search, names: Sequence[str], epochs: int) -> None:
        self.search, self.row, self.names = search, search.row, list(names)
        self.share = 0.0
        if self.row.sparsifies != "at_once":
            self.share = schedule.removed_share(search.density, epochs, search.period)
        self.epoch = 0  # that is under way
        self.parts: list[Masked] = []

    def start(self, state: State, seed: int, *purpose: str | int) -> State:
        """The state to start from.

        Args:
            state: of the plain network, dense.
            seed, purpose: decide the scores.

        Raises:
            PruningError: the state has masks, or there is no such initialization of scores.
        """
        scores = states.draw_scores(state, self.names, self.search, seed, *purpose)
        slots = self.first_slots(list(scores.values()))
        return states.parametrized_state(state, self.search, scores, slots)

    def first_slots(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """The flags or thresholds that belong to the first scores."""
        raise NotImplementedError

    def next_slots(
        self, scores: Sequence[Tensor], slots: Sequence[Tensor], epoch: int
    ) -> list[Tensor] | None:
        """The flags or thresholds after an epoch; None where they stay."""
        raise NotImplementedError

    def adapt(self, module: nn.Module) -> nn.Module:
        """The network with scores before its prunable weights, and nothing else to train."""
        self.parts = parametrized(module, self.names, self.row.mask)
        return module

    @torch.no_grad()
    def before_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Add the penalty's gradient: lambda sign(p) of the sum of |p|, 2 lambda p of squares."""
        scores = [part.scores for part in self.parts]
        gradients = [score.grad for score in scores]
        self._refuse_unused(gradients)
        of_sizes, of_squares = (self.search.strength * w for w in PENALTIES[self.row.penalty])
        if of_sizes:
            torch._foreach_add_(gradients, torch._foreach_sign(scores), alpha=of_sizes)
        if of_squares:
            torch._foreach_add_(gradients, scores, alpha=2 * of_squares)

    @torch.no_grad()
    def end_epoch(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> EpochEnd:
        """Freeze weights or thin the mask out, where it is time to, and say what is left."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        scores = [part.scores for part in self.parts]
        slots = [getattr(part, part.slot) for part in self.parts]
        penalty = self._penalty(scores)
        changed, state = self.next_slots(scores, slots, epoch), None
        if changed is not None:
            slots, state = changed, self._with(capture(module, optimizer), changed)
        return EpochEnd(self._densities(scores, slots) | {"penalty": penalty}, state)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Which epoch is under way."""
        return {"epoch": torch.tensor(self.epoch)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.epoch = int(state["epoch"])

    def _with(self, state: State, slots: Sequence[Tensor]) -> State:
        """The same state with other flags or thresholds; scores and their momentum stay."""
        changed = {
            buffer_name(name, self.row.mask): slot.cpu().contiguous()
            for name, slot in zip(self.names, slots, strict=True)
        }
        return replace(state, buffers={**state.buffers, **changed})

    def _densities(self, scores: Sequence[Tensor], slots: Sequence[Tensor]) -> Row:
        pairs = list(zip(scores, slots, strict=True))
        kind = KINDS[self.row.mask]
        return {
            "kept_density": share([kind.kept(p, slot) for p, slot in pairs]),
            "active_density": share([kind.active(p, slot) for p, slot in pairs]),
        }

    def _penalty(self, scores: Sequence[Tensor]) -> float:
        of_sizes, of_squares = PENALTIES[self.row.penalty]
        # Both sums in any case: they also show a score that is no number.
        sizes = float(torch.stack([p.abs().sum() for p in scores]).double().sum())
        squares = float(torch.stack([p.square().sum() for p in scores]).double().sum())
        if not math.isfinite(sizes + squares):
            raise TrainingDiverged(
                f"A score is no longer a finite number after epoch {self.epoch} of the search. "
                "Lower the search's learning rate."
            )
        return self.search.strength * (of_sizes * sizes + of_squares * squares)

    def _refuse_unused(self, gradients: Sequence[Tensor | None]) -> None:
        for name, gradient in zip(self.names, gradients, strict=True):
            if gradient is None:
                raise PruningError(
                    f"The weight {name!r} takes no part in the loss, so its scores cannot be "
                    "learned. Exempt its layer from pruning."
                )


class Freezing(Searching):
    """Scores in [0, 1] that round to a mask; weights are frozen out at the end of periods."""

    def __init__(self, search: Search, names: Sequence[str], epochs: int) -> None:
        super().__init__(search, names, epochs)
        self.collapsed = False

    def first_slots(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Nothing is frozen at first."""
        return [torch.ones_like(score, dtype=torch.bool) for score in scores]

    @torch.no_grad()
    def after_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Bring scores back into [0, 1]."""
        scores = [part.scores for part in self.parts]
        torch._foreach_clamp_min_(scores, 0.0)
        torch._foreach_clamp_max_(scores, 1.0)

    def next_slots(
        self, scores: Sequence[Tensor], slots: Sequence[Tensor], epoch: int
    ) -> list[Tensor] | None:
        """The flags after this epoch.

        Where no weight is active any more, the search is given up as in the authors' code: the
        density is cut once to its share of what is left, and nothing is frozen afterwards.
        """
        if self.collapsed or not self.share:
            return None
        left, removed = sum(map(count, slots)), 0
        if not any(count(Rounded.active(p, q)) for p, q in zip(scores, slots, strict=True)):
            self.collapsed = True
            removed = schedule.removed_count(1 - self.search.density, left)
            log.warning(
                "The search has no active weight left after epoch %d: every score that is not "
                "frozen out is at most 0.5. It freezes once more and never again. %s",
                epoch + 1,
                WHY_EMPTY[self.row.freezes],
            )
        elif schedule.is_event(epoch, self.search.period):
            removed = schedule.removed_count(self.share, left)
        return freeze(scores, slots, removed, self.row.freezes) if removed else None

    def state_dict(self) -> Mapping[str, Tensor]:
        """Which epoch is under way, and whether the search has been given up."""
        return {**super().state_dict(), "collapsed": torch.tensor(self.collapsed)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.collapsed = bool(state["collapsed"])


class Cutting(Searching):
    """Scores of either sign, the largest of which are the mask; weights may always come back."""

    @property
    def density(self) -> float:
        """Of the mask, in the epoch that is under way."""
        if self.row.sparsifies == "at_once":
            return self.search.density
        return schedule.gradual_density(self.share, self.epoch - 1, self.search.period)

    def first_slots(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Where the first scores are cut."""
        return thresholds(scores, self.density, self.row.mask)

    @torch.no_grad()
    def after_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Cut where the new scores say."""
        found = thresholds([part.scores for part in self.parts], self.density, self.row.mask)
        for part, threshold in zip(self.parts, found, strict=True):
            part.threshold.copy_(threshold)

    def next_slots(
        self, scores: Sequence[Tensor], slots: Sequence[Tensor], epoch: int
    ) -> list[Tensor] | None:
        """Where scores are cut from now on."""
        gradual = self.row.sparsifies == "gradually"
        if not gradual or not schedule.is_event(epoch, self.search.period):
            return None
        return thresholds(scores, self.density, self.row.mask)


def searching(search: Search, names: Sequence[str], epochs: int) -> Searching:
    """The callback of a search; the arguments are :class:`Searching`'s."""
    kind = Freezing if search.row.mask == "rounded" else Cutting
    return kind(search, names, epochs)


def search(
    task: Task,
    state: State,
    config: Search,
    *,
    recipe: Recipe,
    seed: int = 0,
    stream: tuple[str | int, ...] = ("search",),
    resume: ResumeFile | None = None,
    steps: int | None = None,
) -> Trained:
    """Search for a subnetwork of a state's network.

    Args:
        task: data and network.
        state: whose weights are searched; dense.
        config: how the search is set.
        recipe: how scores train; its length is the search's.
        seed: the study's seed.
        stream: purpose of this run; with the seed it decides scores and data order.
        resume: a file that a killed search continues from.
        steps: stop after this many steps instead (a trial run).

    Returns:
        The training. Its state is that of the parametrized network, which
        :func:`pruning.systems.gem_miner.states.found` takes apart; its metrics also have what
        :class:`Searching` writes down.

    Raises:
        PruningError: weight decay, which would act on scores that are clipped; a state with masks;
            a network whose weights cannot be searched; a search that is over before anything is
            frozen; a density that leaves no weight.
    """
    if config.row.mask == "rounded" and recipe.optimizer.weight_decay:
        raise PruningError(
            f"The recipe of the search {config.method!r} has a weight decay of "
            f"{recipe.optimizer.weight_decay:g}, which would pull its scores to zero. Set it to 0; "
            "the penalty is for that."
        )
    task = replace(task, recipe=recipe)
    names = task.prunable()
    _refuse_empty(task, config, sum(state.weights[name].numel() for name in names))
    callback = searching(config, names, epochs(task.timeline))
    start = callback.start(state, seed, *stream)
    steps = task.timeline.total_steps if steps is None else steps
    run = Run(steps, task.timeline.schedule(), seed, stream)
    return train(task, start, run, callback=callback, resume=resume)


def _refuse_empty(task: Task, config: Search, total: int) -> None:
    left = total
    if config.row.sparsifies == "freezing" and config.density < 1:
        left = schedule.left_after(total, config.density, epochs(task.timeline), config.period)[-1]
    elif config.row.mask == "global":
        left -= schedule.removed_count(1 - config.density, total)
    if not left:
        raise PruningError(
            f"{task.name}: of {total:,} prunable weights, density {config.density:g} leaves none. "
            "Take a larger one (gem_miner.densities)."
        )


def epochs(timeline: Timeline) -> int:
    """How many times an epoch of a search ends; the last may be a part of one."""
    return math.ceil(timeline.total_steps / timeline.steps_per_epoch)
