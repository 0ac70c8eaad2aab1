"""How to train: everything that decides a training's numbers besides data, network and seed.

No torch here, so that a study is checked fast; the defaults of a study's recipe are these.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pruning.data.batching import Batching
from pruning.data.batching_kinds import batching_from_dict
from pruning.data.sentence_batching import SentenceBatching
from pruning.errors import PruningError, unknown
from pruning.files import plain
from pruning.share import Share
from pruning.training.schedules import AnySchedule, Pieces, Schedule, schedule_from_dict

PRECISIONS = ("float32", "tf32", "bfloat16")
LOSSES = ("mean", "sum")


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer by name.

    Attributes:
        name: a key of :data:`pruning.registry.OPTIMIZERS`.
        weight_decay: lambda in the penalty 0.5 * lambda * sum(w^2) (torch's convention).
        decay_exclude: kinds of parameters without it: ``bias``, ``norm`` (parameters of batch norm
            and other normalizations, biases included).
        options: what the optimizer takes besides (momentum, nesterov, betas, ...).
        bias_rate: what the learning rate of biases is multiplied by, batch norm's included.
    """

    name: str = "sgd"
    weight_decay: float = 0.0
    decay_exclude: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    bias_rate: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """A training recipe.

    Attributes:
        epochs: T, the length of the original training.
        batches: batch size, epoch boundaries; of images augmentation and normalization, of
            sentences which of them share a batch.
        optimizer: which, and its weight decay.
        schedule: learning rate by step.
        steps: the length in optimizer steps where it is not int(T * steps per epoch)
            (Renda et al.'s CIFAR runs stop at step 71,108 of 182 epochs).
        loss: of a batch, the ``mean`` or the ``sum`` of its examples' losses.
        label_smoothing: of each target's probability, how much is shared out among all classes
            (or pieces of text) alike (Szegedy et al. 2016, section 7).
        threads: CPU threads. Bits depend on it, so it is part of the recipe.
        precision: ``float32``; ``tf32``: layers multiply numbers of 10 bits on a GPU;
            ``bfloat16``: layers compute in it, and weights, updates and losses in float32.
        batch_norm_group: examples that batch norm normalizes together while it trains, counted from
            the start of a batch; None: all that a process has of it.
        clip: the global norm that the gradient of the loss, and of a penalty on it, is clipped to,
            that of masked weights counted as zero; None for none.
        clip_groups: parts of a batch, counted from its start, whose gradients are clipped each by
            itself and then added up, as where each of so many cores clips its own (Renda et al.
            for GNMT; reference, section 2.4). What is clipped is a part's share of the loss: of a
            mean, its sum over the examples of the whole batch.
        epoch_steps: steps that count as an epoch of T, of retrain times and of metrics, where these
            are not the steps in which the data are seen once. Milestones and warm-up are in epochs
            of the data whatever it says, and so is what a training costs.
        processes: how many train together, each on its share of every batch. Bits depend on it.
    """

    epochs: float
    batches: Batching | SentenceBatching
    schedule: AnySchedule
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    steps: int | None = None
    loss: str = "mean"
    label_smoothing: float = 0.0
    threads: int = 1
    precision: str = "float32"
    batch_norm_group: int | None = None
    clip: float | None = None
    clip_groups: int = 1
    epoch_steps: int | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.loss not in LOSSES:
            raise unknown("loss", self.loss, LOSSES)
        if not 0 <= self.label_smoothing < 1:
            raise PruningError(f"label_smoothing must lie in [0, 1), it is {self.label_smoothing}.")
        if not 0 < self.epochs < math.inf:
            raise PruningError(f"A recipe's epochs must be positive, they are {self.epochs}.")
        group, most = self.batch_norm_group, self.batches.size
        if group is not None and not 1 <= group <= most:
            raise PruningError(
                f"batch_norm_group is {group}, but a batch has {most} examples (batches.size). Say "
                "a number from 1 to that, or nothing for whole batches."
            )
        self._check_clip()
        if self.epoch_steps is not None and self.epoch_steps < 1:
            raise PruningError(f"epoch_steps must be at least 1, it is {self.epoch_steps}.")
        if not 1 <= self.processes <= self.batches.size:
            raise PruningError(
                f"processes: {self.processes} cannot share batches of {self.batches.size} "
                "(batches.size): it is from 1 to that."
            )

    def _check_clip(self) -> None:
        groups, size = self.clip_groups, self.batches.size
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise PruningError(f"clip is a norm above 0, it is {self.clip}.")
        if not 1 <= groups <= size:
            raise PruningError(
                f"clip_groups is {groups}, but a batch has {size} examples (batches.size). Say a "
                "number from 1 to that."
            )
        if groups > 1 and self.clip is None:
            raise PruningError(f"clip_groups is {groups}, and nothing is clipped: say `clip` too.")
        if groups > 1 and groups % self.processes:
            raise PruningError(
                f"clip_groups: {groups} parts of a batch cannot be shared out evenly among "
                f"processes: {self.processes}."
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """A recipe from plain values, as a study file has them."""
        values = dict(values)
        optimizer = dict(values.pop("optimizer", {}))
        optimizer["decay_exclude"] = tuple(optimizer.get("decay_exclude", ()))
        return cls(
            batches=batching_from_dict(values.pop("batches")),
            schedule=schedule_from_dict(values.pop("schedule")),
            optimizer=OptimizerConfig(**optimizer),
            **values,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values that say everything; :meth:`from_dict` takes them back."""
        return plain(self)

    def share(self, rank: int) -> Share:
        """What one of the processes computes of every batch; no group is divided."""
        return Share(rank, self.processes, self.batch_norm_group or 1)

    def normalized(self, size: int) -> set[int]:
        """How many images batch norm sees together, in a batch of so many."""
        rows = [self.share(rank).rows(size) for rank in range(self.processes)]
        shares = {stop - start for start, stop in rows if stop > start}
        group = self.batch_norm_group
        if group is None:
            return shares
        return {part for n in shares for part in (min(n, group), n % group or min(n, group))}

    def batch_sizes(self, images: int) -> list[int]:
        """How many images batches have, of a training set of so many; the smallest first."""
        smallest = self.batches.smallest(images)
        # A short batch may be the only one.
        return sorted({smallest, max(smallest, min(self.batches.size, images))})

    def timeline(self, images: int) -> "Timeline":
        """Epochs and steps for a training set of this many images."""
        return Timeline(self, self.batches.steps_per_epoch(images))


@dataclass(frozen=True)
class Timeline:
    """A recipe laid out over a training set: which step is where.

    Attributes:
        recipe: the recipe.
        steps_per_pass: in which the data are seen once; exact, a fraction where batches straddle
            epochs.
    """

    recipe: Recipe
    steps_per_pass: Fraction

    def __post_init__(self) -> None:
        if not self.steps_per_pass > 0:
            raise PruningError("An epoch has no step: there is nothing to train on.")

    @property
    def steps_per_epoch(self) -> Fraction:
        """Of the epochs in which T, retrain times and metrics are counted."""
        return Fraction(self.recipe.epoch_steps or self.steps_per_pass)

    @property
    def total_steps(self) -> int:
        """The last step T*."""
        steps = self.recipe.steps or int(self._epochs(self.recipe.epochs))
        if steps < 1:
            raise PruningError(
                f"{self.recipe.epochs:g} epochs of {float(self.steps_per_epoch):g} steps are not "
                "even one step. Use more epochs or a smaller batch."
            )
        return steps

    def rewind_step(self, retrain_time: float) -> int:
        """The step whose state supplies what is rewound: retrain_time epochs before the end.

        int(T* - t * steps per epoch), and 0 at t = T (Renda et al., reference section 1).

        Raises:
            PruningError: t outside (0, T].
        """
        if not 0 < retrain_time <= self.recipe.epochs:
            raise PruningError(
                f"Retrain time {retrain_time:g} lies outside (0, {self.recipe.epochs:g}]: one "
                "cannot rewind to before the training began. Use at most the recipe's epochs."
            )
        if retrain_time == self.recipe.epochs:
            return 0
        return max(0, int(self.total_steps - self._epochs(retrain_time)))

    def steps_from(self, step: int = 0) -> int:
        """Optimizer steps of a training that begins at a step and goes to the end of the schedule.

        Plans and trainings both ask here.

        Raises:
            PruningError: no step is left.
        """
        if step >= self.total_steps:
            raise PruningError(
                f"Nothing is left to train: the schedule ends at step {self.total_steps}, and the "
                f"weights are of step {step}."
            )
        return self.total_steps - step

    def schedule(self) -> Schedule:
        """The learning rate by step.

        Raises:
            PruningError: the training, whose epochs are counted otherwise than the schedule's, ends
                before the schedule has done what it says.
        """
        passes = self.recipe.epochs
        if isinstance(self.recipe.schedule, Pieces):
            self._refuse_unreached_pieces(self.recipe.schedule)
        elif self.recipe.epoch_steps is not None:
            self._refuse_unreached()
            passes = float(self._epochs(passes) / self.steps_per_pass)
        return self.recipe.schedule.schedule(self.steps_per_pass, passes)

    def last_learning_rate(self) -> float:
        """The rate that trainings go on with after the original one: that of its last step, or
        what a schedule in pieces says of the step after it."""
        goes_on = isinstance(self.recipe.schedule, Pieces)
        return self.schedule()(self.total_steps - (not goes_on))

    def epoch_end(self, epoch: int) -> int:
        """How many steps a run has made when its epoch number ``epoch`` (from 1) is over."""
        return int(epoch * self.steps_per_epoch)

    def _refuse_unreached_pieces(self, schedule: Pieces) -> None:
        last = self.total_steps
        late = [step for step, _ in schedule.pieces if step > last]
        if late or schedule.climb_steps > last:
            key, step = ("pieces", late[0]) if late else ("climb_steps", schedule.climb_steps)
            raise PruningError(
                f"schedule.{key}: the training ends at step {last}, before step {step}. Take it "
                "out, or train for longer."
            )

    def _refuse_unreached(self) -> None:
        schedule, last = self.recipe.schedule, self.total_steps
        milestones = getattr(schedule, "milestones", ())
        for key, epoch in (("warmup", schedule.warmup), *(("milestones", m) for m in milestones)):
            step = Fraction(str(epoch)) * self.steps_per_pass
            if step > last or (key == "milestones" and step == last):
                raise PruningError(
                    f"schedule.{key}: epoch {epoch:g} of the data is over at step {float(step):g}, "
                    f"but with epoch_steps: {self.recipe.epoch_steps} the training ends at step "
                    f"{last}. Take it out, or train for longer."
                )

    def _epochs(self, epochs: float) -> Fraction:
        return Fraction(str(epochs)) * self.steps_per_epoch
