"""PruneTrain: group lasso while training, and channels cut out as they die.

Lym, Choukse, Zangeneh, Wen, Sanghavi, Erez (SC 2019, arXiv 1901.09290); section numbers are those
of the reference.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models.channels import WEIGHT, Channels, follow
from pruning.systems.prunetrain import batches, penalty
from pruning.systems.prunetrain.batches import Growth, memory_of
from pruning.systems.prunetrain.cost import refuse_uncounted, totals
from pruning.systems.prunetrain.penalty import groups_of, strength_of
from pruning.systems.prunetrain.reconfiguration import Reconfiguration, Sizes, reconfigure, sizes_of
from pruning.systems.prunetrain.rules import METHODS, Method
from pruning.training import generators, optimizers, processes
from pruning.training.arithmetic import arithmetic, forward_pass
from pruning.training.callback import Callback, EpochEnd, Row
from pruning.training.evaluate import evaluate_split
from pruning.training.loop import Run, Trained, train
from pruning.training.network import network_of, training_network
from pruning.training.resume import ResumeFile
from pruning.training.state import State, capture
from pruning.training.task import Task

log = logging.getLogger("pruning")

NOTICED = 0.01  # relative change of logits by a reconfiguration that the log warns of
_SHAPE, _SIZES = "shape/", "sizes/"


@dataclass(frozen=True)
class Settings:
    """How a training is set.

    Attributes:
        method: a key of :data:`pruning.systems.prunetrain.rules.METHODS`.
        ratio: share of the penalty in the whole loss on the first batch, in (0, 1).
        interval: epochs between reconfigurations; there is one after the last epoch too.
        threshold: a channel of a layer is sparse where all its |w| are below.
        epsilon: under the root of each group's norm.
        growth: of mini-batches, where the method's grow.
    """

    method: str = "prunetrain"
    ratio: float = 0.2
    interval: int = 10
    threshold: float = 1e-4
    epsilon: float = 1e-8
    growth: Growth = field(default_factory=lambda: Growth(1024))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """From plain values, as a study's section gives them."""
        return cls(**{**values, "growth": Growth(**values["growth"])})

    @property
    def row(self) -> Method:
        """What distinguishes the method."""
        return METHODS[self.method]


@dataclass(frozen=True)
class Start:
    """The penalty on the first batch, at the network's initial weights.

    Attributes:
        loss: of the task.
        value: G, without lambda.
        strength: lambda.
        bound: of the learning rate times lambda, see :func:`penalty.bound`.
    """

    loss: float
    value: float
    strength: float
    bound: float


@dataclass(frozen=True)
class Result:
    """What a training leaves.

    Attributes:
        trained: state, with its shape, and metrics; these also have what
            :meth:`PruneTrain.end_epoch` writes down.
        start: how strong the penalty was.
        sizes: largest |w| of channels when reconfigurations were due, before them: by epoch, then
            by layer, of the output channels there were.
        history: for each of these epochs, the original index of these channels by layer.
        last: the network before the last reconfiguration.
    """

    trained: Trained
    start: Start
    sizes: Mapping[int, Mapping[str, Tensor]]
    history: Mapping[int, Mapping[str, Tensor]]
    last: State


def measure(task: Task, state: State, settings: Settings, run: Run) -> Start:
    """What lambda follows from: loss and penalty on the first batch of a run, section 1.2.

    Args:
        task: what is trained.
        state: the initial weights.
        settings: the ratio.
        run: whose first batch.
    """
    module = training_network(task, state)
    recipe = task.recipe
    with (
        arithmetic(recipe.threads, recipe.precision),
        generators.seeded(run.seed, run.stream, task.device),
    ):
        batch = task.batches(run.seed, run.stream).batch(run.first_batch)
        with torch.no_grad():
            with forward_pass(recipe.precision, task.device):
                loss = float(task.loss(module, batch))
            groups = groups_of(
                module, follow(module, _on(module, task.example())), settings.row.scaled
            )
            value = float(penalty.penalty(groups, settings.epsilon))
    momentum = task.recipe.optimizer.options.get("momentum", 0.0)
    # On GPUs two computations of a loss may differ in the last bit, and lambda must not.
    loss, value = processes.decided(lambda: (loss, value))
    return Start(
        loss,
        value,
        strength_of(settings.ratio, loss, value),
        penalty.bound(settings.epsilon, momentum),
    )


class PruneTrain(Callback):
    """The penalty of each step, and the reconfigurations.

    Args:
        task: as given at the start.
        settings: see :class:`Settings`.
        strength: lambda.
        run: how far, at which rates.
        built: the channels of the network as built.
    """

    def __init__(
        self, task: Task, settings: Settings, strength: float, run: Run, built: Channels
    ) -> None:
        self.task, self.how, self.strength, self.run = task, settings, strength, run
        self.epochs = 0
        self.shape: dict[str, Tensor] = {}
        self.batches = [(0, task.recipe.batches.size)]
        self.budget: float | None = None
        self.sizes: dict[str, Tensor] = {}
        self.last: State | None = None
        self.rate = 0.0
        mixing = [layer for layer in built.layers.values() if layer.kind == WEIGHT]
        self.built = {
            side: {layer.name: len(getattr(layer, side)) for layer in mixing}
            for side in ("inputs", "outputs")
        }
        self._groups: Mapping[str, penalty.Groups] | None = None

    # -- what the loop asks -------------------------------------------------------------------

    def settings(self, task: Task, run: Run) -> tuple[Task, Run]:
        """Larger batches, once there are any."""
        return batches.grown(task, run, self.batches) if len(self.batches) > 1 else (task, run)

    def adapt(self, module: nn.Module) -> nn.Module:
        """Nothing; but channels and costs are those of this shape from now on."""
        example = self.task.example()
        self.channels, self.costs = follow(module, example), totals(module, example)
        self.memory = memory_of(module, example)
        if self.budget is None:
            self.budget = self.memory.of(self.batches[0][1])
        self._groups = None
        return module

    def before_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """The penalty's gradient."""
        self.rate = optimizer.param_groups[0]["lr"]
        if not self.how.row.proximal:
            penalty.add_gradient(self._of(module), self.strength, self.how.epsilon)

    def after_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Soft-thresholding, where the penalty has no gradient.

        By as much as a gradient would have moved a weight in the end, momentum included.
        """
        if self.how.row.proximal:
            carried = self.rate / (1 - optimizer.param_groups[0].get("momentum", 0.0))
            penalty.soften(self._of(module), carried * self.strength)

    def end_epoch(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> EpochEnd:
        """What this epoch was like, and a reconfiguration where one is due.

        The columns are those of :data:`pruning.systems.prunetrain.tables.EPOCHS`; costs are of the
        network that this epoch trained, densities of what it is at the end, before it is cut.
        """
        self.epochs += 1
        sizes = sizes_of(module, self.channels)
        columns = self._columns(module, sizes)
        is_last = self.epochs >= self._epochs_of_all()
        ends_interval = self.epochs % self.how.interval == 0 or is_last
        if ends_interval:
            self._note_sizes(sizes)
        if not (is_last if self.how.row.once else ends_interval):
            return EpochEnd({**columns, **_NO_CHANGE})
        state = replace(capture(module, optimizer), shape=self.shape)
        if is_last:
            self.last = state
        found = self._decide(module)
        if not found.cuts:
            grew = self._grow(module)
            return EpochEnd({**columns, **_NO_CHANGE}, state if grew else None)
        state = state.cut(found.cuts)
        self.shape = dict(state.shape)
        small = network_of(self.task, state).to(self.task.device)
        changes = self._changes(module, small, found)
        if not is_last:
            self._grow(small)
        return EpochEnd({**columns, **changes}, state)

    def state_dict(self) -> dict[str, Tensor]:
        """Epochs, shape, batches, and the sizes of channels so far."""
        return {
            "epochs": torch.tensor(self.epochs),
            "batches": batches.to_tensor(self.batches),
            "budget": torch.tensor(self.budget or 0.0, dtype=torch.double),
            **{f"{_SHAPE}{key}": value for key, value in self.shape.items()},
            **{f"{_SIZES}{key}": value for key, value in self.sizes.items()},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.epochs = int(state["epochs"])
        self.batches = batches.from_tensor(state["batches"])
        self.budget = float(state["budget"])
        self.shape = _under(state, _SHAPE)
        self.sizes = _under(state, _SIZES)

    # -- reconfiguring ------------------------------------------------------------------------

    def _decide(self, module: nn.Module) -> Reconfiguration:
        row = self.how.row
        return reconfigure(
            module, self.channels, self.how.threshold, gated=row.gated, folded=row.folded
        )

    def _changes(self, module: nn.Module, small: nn.Module, found: Reconfiguration) -> Row:
        before, after = self._logits(module), self._logits(small)
        metric = self.task.metric.name
        scores = [evaluate_split(m, self.task, "test")[metric] for m in (module, small)]
        change = float((after - before).norm() / before.norm())
        if change > NOTICED:
            log.warning(
                "%s: cutting %d channels changed the logits by %.2g of their norm. A lower "
                "threshold changes them less.",
                self.task.name, found.channels, change,
            )  # fmt: skip
        norm = math.sqrt(sum(float(c.square().sum()) for c in found.constants.values()))
        if found.branches:
            log.info(
                "%s: %d bodies of residual blocks removed; what they gave has norm %.3g and is %s",
                self.task.name, len(found.branches), norm,
                "kept as a constant" if self.how.row.folded else "dropped",
            )  # fmt: skip
        return {
            "removed_channels": found.channels,
            "removed_branches": len(found.branches),
            "constant_norm": norm,
            "logit_change": change,
            "score_change": scores[1] - scores[0],
        }

    def _logits(self, module: nn.Module) -> Tensor:
        """Of the run's first batch, in evaluation mode."""
        seen: list[Tensor] = []
        hook = module.register_forward_hook(lambda layer, given, made: seen.append(made))
        batch = self.task.batches(self.run.seed, self.run.stream).batch(self.run.first_batch)
        training = module.training
        try:
            with torch.no_grad():
                self.task.loss(module.eval(), batch)
        finally:
            hook.remove()
            module.train(training)
        return seen[0]

    def _grow(self, module: nn.Module) -> bool:
        """Enlarge the batch for what the network is from here on; whether that changed it."""
        if not self.how.row.grows:
            return False
        now = self.batches[-1][1]
        memory = memory_of(module, _on(module, self.task.example()))
        size = self.how.growth.size(memory, self.budget, now)
        if size > now:
            self.batches.append((self.epochs, size))
            log.info("%s: batches of %d images from epoch %d on", self.task.name, size, self.epochs)
        return size > now

    # -- what is written down -----------------------------------------------------------------

    def _of(self, module: nn.Module) -> Mapping[str, penalty.Groups]:
        if self._groups is None:
            self._groups = groups_of(module, self.channels, self.how.row.scaled)
        return self._groups

    def _columns(self, module: nn.Module, sizes: Sizes) -> Row:
        with torch.no_grad():
            value = float(penalty.penalty(self._of(module), self.how.epsilon))
        return {
            "penalty": self.strength * value,
            **{
                f"dense_{side}": sizes.share(side, self.how.threshold, built)
                for side, built in self.built.items()
            },
            "rate_times_strength": self.rate * self.strength,
            "batch": self.batches[-1][1],
            "memory": self.memory.of(self.batches[-1][1]),
            **asdict(self.costs),
        }

    def _note_sizes(self, sizes: Sizes) -> None:
        for name, size in sizes.outputs.items():
            self.sizes[f"{self.epochs}/{name}/size"] = size
            kept = self.shape.get(f"{name}/outputs", torch.arange(len(size)))
            self.sizes[f"{self.epochs}/{name}/channel"] = kept.clone()  # written beside the shape

    def _epochs_of_all(self) -> int:
        task, run = self.settings(self.task, self.run)
        if run.epoch_ends is not None:
            return len(run.epoch_ends)
        return math.ceil(run.steps / task.timeline.steps_per_epoch)


_NO_CHANGE: Row = {
    "removed_channels": 0,
    "removed_branches": 0,
    "constant_norm": 0.0,
    "logit_change": 0.0,
    "score_change": 0.0,
}


def train_prunetrain(
    task: Task,
    state: State,
    settings: Settings,
    *,
    initial: State | None = None,
    seed: int = 0,
    stream: tuple[str | int, ...] = ("prunetrain",),
    resume: ResumeFile | None = None,
    steps: int | None = None,
) -> Result:
    """Train by the task's recipe while channels die, and cut them out.

    Weights and batch-norm statistics are those of the state; the optimizer starts without memory
    and the schedule at step 0.

    Args:
        task: what is trained, and by which recipe.
        state: where to start.
        settings: penalty and reconfigurations.
        initial: the weights whose first loss and penalty decide lambda; the state's without, so
            that a training which begins with a trained network can have the lambda of one that
            begins with the initial one.
        seed: the study's seed.
        stream: purpose of this run; with the seed it decides the data order.
        resume: a file that a killed training continues from.
        steps: stop after this many steps instead (a trial run).

    Raises:
        PruningError: the network's channels cannot be followed, or none of them may go.
    """
    if settings.row.grows and task.recipe.epoch_steps is not None:
        raise PruningError(
            f"The recipe counts epochs by steps (epoch_steps: {task.recipe.epoch_steps}), but a "
            f"larger batch of {settings.method} makes fewer of an epoch. Take epoch_steps out."
        )
    steps = task.timeline.steps_from() if steps is None else steps
    run = Run(steps, task.timeline.schedule(), seed, stream)
    built = _channels_to_cut(task)
    start = measure(task, initial or state, settings, run)
    callback = PruneTrain(task, settings, start.strength, run, built)
    _warn_if_unstable(task, run, settings, start)
    trained = train(
        task, State(state.weights, state.buffers, shape=state.shape), run,
        callback=callback, resume=resume,
    )  # fmt: skip
    sizes, history = _by_epoch(callback.sizes)
    return Result(trained, start, sizes, history, callback.last or trained.state)


def _channels_to_cut(task: Task) -> Channels:
    """The channels of the network as built; says which stay whole, and refuses if all do."""
    module = task.build()
    task.prunable()  # refuses what cannot be pruned
    refuse_uncounted(module)
    channels = follow(module, task.example())
    why = "; ".join(channels.whole[:5]) + ("; ..." if len(channels.whole) > 5 else "")
    if not groups_of(module, channels):
        raise PruningError(
            f"{task.name}: no channel of this network may go, so there is nothing to shrink. "
            + (f"Not understood: {why}." if why else "It has no hidden channels.")
        )
    if channels.whole:
        log.warning(
            "%s: channels around %d operations stay whole: %s",
            task.name, len(channels.whole), why,
        )  # fmt: skip
    return channels


def _warn_if_unstable(task: Task, run: Run, settings: Settings, start: Start) -> None:
    if not isinstance(optimizers.make(task.recipe.optimizer, task.build()), torch.optim.SGD):
        return  # the bound is that of gradient descent with momentum
    highest = max(map(run.schedule, range(run.steps)), default=0.0) * start.strength
    if settings.row.grows:
        highest *= max(1.0, settings.growth.maximum / task.recipe.batches.size)
    if highest >= start.bound and not settings.row.proximal:
        log.warning(
            "%s: learning rate times lambda reaches %.3g, beyond the bound of stability %.3g: dead "
            "channels will not stay below the threshold until the rate falls. A lower rate, a "
            "lower ratio or a larger epsilon (with a larger threshold) stays within.",
            task.name, highest, start.bound,
        )  # fmt: skip


def _on(module: nn.Module, example: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    where = next(module.parameters()).device
    return tuple(part.to(where) for part in example)


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}


def _by_epoch(noted: Mapping[str, Tensor]) -> tuple[dict, dict]:
    sizes: dict[int, dict[str, Tensor]] = {}
    history: dict[int, dict[str, Tensor]] = {}
    for key, value in noted.items():
        epoch, name, what = key.split("/")
        target = sizes if what == "size" else history
        target.setdefault(int(epoch), {})[name] = value
    return sizes, history
