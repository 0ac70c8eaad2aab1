"""The training loop. It knows nothing of pruning methods: only a state, masks and a schedule.

What a method does while a network trains comes through one seam,
:class:`pruning.training.callback.Callback`.

A masked weight stays zero because its *gradient* is masked: from weight 0, slot 0 and gradient 0
every optimizer with coupled weight decay makes weight 0 and slot 0, whatever momentum and decay
are. One foreach multiplication per step is all that masks cost.

Several processes (``recipe.processes``) each run all of this, and what is not the same for all of
them is in two places: :mod:`pruning.training.backward`, after which gradients are, and the
generators of forward passes.
"""

import logging
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import NoReturn

import torch
from torch import Tensor

from pruning.errors import TrainingDiverged
from pruning.models import shape
from pruning.models.batch_norm import in_groups
from pruning.models.divisors import refuse_empty
from pruning.models.layers import channels_last
from pruning.training import generators, optimizers, processes, reporting
from pruning.training.arithmetic import arithmetic
from pruning.training.backward import backward_of
from pruning.training.callback import Callback, EpochEnd, Row
from pruning.training.evaluate import evaluate_splits
from pruning.training.memory import keep_freed
from pruning.training.resume import Progress, ResumeFile
from pruning.training.schedules import Schedule
from pruning.training.state import State, capture, load_into, load_slots, refuse_divided
from pruning.training.task import Task
from pruning.training.trainable import refuse_lone_examples, refuse_untrained, untrained

TRIES = 10  # steps in which all weights should have had a gradient: some networks skip layers

log = logging.getLogger("pruning")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        steps: optimizer updates to make.
        schedule: learning rate by global step.
        seed: the study's seed.
        stream: purpose of the run; (seed, stream) decides which batches.
        first_batch: index of the first batch within the stream.
        epoch_ends: steps made when each epoch is over, the last at ``steps``; None: as the task's
            timeline says.
    """

    steps: int
    schedule: Schedule
    seed: int
    stream: tuple[str | int, ...]
    first_batch: int = 0
    epoch_ends: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        state: the final state.
        metrics: one row per epoch and one for the end: epoch, step, learning_rate, train_loss,
            the task's scores as ``validation_<metric>`` and ``test_<metric>``, and what a callback
            adds.
        snapshots: the states at the steps that were asked for.
        steps: optimizer updates made.
        seconds: time spent training, over all sittings.
        epoch_seconds: of these, what the steps of each row of the metrics took, without evaluation
            and whatever else happens when an epoch is over.
    """

    state: State
    metrics: list[Row]
    snapshots: Mapping[int, State]
    steps: int
    seconds: float
    epoch_seconds: list[float] = field(default_factory=list)


def train(
    task: Task,
    state: State,
    run: Run,
    *,
    snapshots: tuple[int, ...] = (),
    callback: Callback | None = None,
    resume: ResumeFile | None = None,
) -> Trained:
    """Train from a state.

    Args:
        task: what is trained, and by which recipe.
        state: where to start; its masks hold throughout, or until a callback gives others.
        run: how far, at which rates, on which batches.
        snapshots: global steps whose states are wanted besides the last.
        callback: what a method does meanwhile; an object of this training's own.
        resume: a file that a killed training continues from.

    Raises:
        TrainingDiverged: the loss is no longer finite; names the step and the learning rate.
        PruningError: there are other than the recipe's ``processes``; they no longer have the same
            weights.
    """
    recipe = task.recipe
    keep_freed()
    with (
        arithmetic(recipe.threads, recipe.precision),
        # Who only looks whether a training could begin does that alone.
        processes.together(recipe.processes, task.device) if run.steps else nullcontext(),
        generators.seeded(run.seed, run.stream, task.device),
    ):
        progress = resume.load() if resume else None
        if progress is None:
            progress = Progress(state.masked(state.masks))
        else:
            log.info("%s: resumed after %d of %d steps", task.name, progress.done, run.steps)
            if callback is not None:
                callback.load_state_dict(progress.callback)
        return _Trainer(task, run, progress, callback).finish(snapshots, resume)


class _Trainer:
    def __init__(self, task: Task, run: Run, progress: Progress, callback: Callback | None) -> None:
        self.given, self.callback = (task, run), callback
        self.done, self.first_step = progress.done, progress.state.step - progress.done
        self.metrics, self.taken = list(progress.metrics), dict(progress.snapshots)
        self.seconds_before, self.started = progress.seconds, time.perf_counter()
        self.epoch_seconds = list(progress.epoch_seconds)
        self._go_on_from(progress.state)
        generators.restore(progress.state.generators, task.device)

    def _go_on_from(self, state: State) -> None:
        """Build network and optimizer and put weights, buffers, slots and masks into them."""
        self.task, self.run = self.given
        if self.callback is not None:
            self.task, self.run = self.callback.settings(*self.given)
        batches = self.task.batches(self.run.seed, self.run.stream)
        task, self.shape = self.task, state.shape
        module = shape.apply(task.build(), state.shape)
        if self.callback is not None:
            module = self.callback.adapt(module)
        module = in_groups(module, task.recipe.batch_norm_group)
        refuse_empty(module, state.masks, task.name)
        self.module = channels_last(module.to(task.device)).train()
        load_into(self.module, state)
        refuse_lone_examples(task, self.module)
        self.backward = backward_of(task, self.module, batches, self.callback, self._mask_gradients)
        prunable = task.prunable()
        self.optimizer = optimizers.make(task.recipe.optimizer, self.module, prunable)
        slots = _to(state.slots, task.device)
        load_slots(self.optimizer, self.module, slots, state.source)
        self.ragged: bool | None = None  # whether some had no gradient in the first step
        self.masks, named = state.masks, dict(self.module.named_parameters())
        # Of a network that has lost layers, or that a callback made another of, some train no more.
        whole = not self.done and not state.shape
        self.expected = {n: named[n] for n in prunable if n in named} if whole else {}
        # What is not trained keeps its zeros without help.
        trained = [name for name in self.masks if named[name].requires_grad]
        self.masked = [named[name] for name in trained]
        # As floats in the parameter's memory layout, so that one fused kernel multiplies them all.
        self.factors = [
            torch.empty_like(p, requires_grad=False).copy_(self.masks[name])
            for name, p in zip(trained, self.masked, strict=True)
        ]

    def finish(self, snapshots: tuple[int, ...], resume: ResumeFile | None) -> Trained:
        wanted = {s - self.first_step for s in snapshots if s >= self.first_step}
        self._begin_epoch()
        self._snapshot(wanted)
        losses: list[Tensor] = []
        seconds = 0.0
        with reporting.bar(self.task.name, self.run.steps, self.done) as advance:
            while self.done < self.run.steps:
                stop, epoch = self._next_stop(wanted)
                started = time.perf_counter()
                losses.append(self._steps(stop))
                seconds += time.perf_counter() - started
                advance(stop)
                self._snapshot(wanted)
                if epoch is not None:
                    refuse_divided(self.task.name, self.module)
                    self.metrics.append(self._row(epoch, torch.cat(losses)))
                    self.epoch_seconds.append(seconds)
                    losses, seconds = [], 0.0
                    log.info(reporting.line(self.task, self.metrics[-1]))
                    if resume and self.done < self.run.steps:
                        resume.offer(self.progress)
                    self._begin_epoch()
        return Trained(
            self.state(),
            self.metrics,
            self.taken,
            self.run.steps,
            self._seconds(),
            self.epoch_seconds,
        )

    def _begin_epoch(self) -> None:
        """Seed the generators of this process, where there are several.

        A state holds those of process 0 alone. But trainings are resumed where epochs end, and all
        that an epoch draws follows from what is said here, so resumed ones draw the same.
        """
        if self.task.recipe.processes > 1:
            step = self.first_step + self.done
            generators.begin_epoch(self.run.seed, self.run.stream, processes.rank(), step)

    def progress(self) -> Progress:
        """What a killed training goes on from."""
        memory = self.callback.state_dict() if self.callback is not None else {}
        return Progress(
            self.state(),
            self.done,
            self.metrics,
            self.taken,
            self._seconds(),
            memory,
            self.epoch_seconds,
        )

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def _next_stop(self, wanted: set[int]) -> tuple[int, float | None]:
        """(steps done, epoch) where to pause next: the end of an epoch or of the run, or a snapshot
        (None)."""
        stop, epoch = self._next_end()
        before = [step for step in wanted if self.done < step < stop]
        return (min(before), None) if before else (stop, epoch)

    def _next_end(self) -> tuple[int, float]:
        if self.run.epoch_ends is not None:
            return next(
                (end, float(epoch))
                for epoch, end in enumerate(self.run.epoch_ends, 1)
                if end > self.done
            )
        timeline = self.task.timeline
        epoch = max(1, int(self.done / timeline.steps_per_epoch))
        while timeline.epoch_end(epoch) <= self.done:
            epoch += 1
        if timeline.epoch_end(epoch) < self.run.steps:
            return timeline.epoch_end(epoch), float(epoch)
        return self.run.steps, float(self.run.steps / timeline.steps_per_epoch)

    def _steps(self, stop: int) -> Tensor:
        """Train until ``stop`` steps are done; the losses of the steps made."""
        count = stop - self.done
        losses = torch.zeros(count, device=self.task.device)
        callback = self.callback
        groups = self.optimizer.param_groups
        for i in range(count):
            step = self.first_step + self.done + i
            rate = self.run.schedule(step)
            for group in groups:
                group["lr"] = rate * group["relative_rate"]
            self.optimizer.zero_grad(set_to_none=True)
            losses[i] = self.backward(self.run.first_batch + self.done + i, step)
            if callback is not None:
                callback.before_step(self.module, self.optimizer, step)
            self._mask_gradients()
            self._step()
            if callback is not None:
                callback.after_step(self.module, self.optimizer, step)
            if self.expected and self.done + i + 1 >= min(TRIES, self.run.steps):
                refuse_untrained(self.expected)
        self._require_finite(losses)
        self.done = stop
        return losses

    def _mask_gradients(self) -> None:
        """Zero where masked; what took no part in this step has no gradient and stays."""
        if self.expected:
            self.expected = untrained(self.expected)
        if not self.masked:
            return
        gradients = [p.grad for p in self.masked]
        factors = self.factors
        if any(gradient is None for gradient in gradients):
            factors = [f for f, g in zip(factors, gradients, strict=True) if g is not None]
            gradients = [gradient for gradient in gradients if gradient is not None]
        if gradients:
            torch._foreach_mul_(gradients, factors)

    def _step(self) -> None:
        """Update what has a gradient; where a network skips layers, some may have their first."""
        if self.ragged is None:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self.ragged = any(parameter.grad is None for parameter in parameters)
            optimizers.let_join(self.optimizer)
        elif self.ragged:
            optimizers.let_join(self.optimizer)
        self.optimizer.step()

    def _require_finite(self, losses: Tensor) -> None:
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            step = self.first_step + self.done + int(bad[0])
            self._diverged(f"the training loss is {float(losses[bad[0]])}", step)

    def _diverged(self, what: str, step: int) -> NoReturn:
        raise TrainingDiverged(
            f"{self.task.name}: {what} at step {step}, learning rate {self.run.schedule(step):g}. "
            "Lower the study's learning rate or lengthen its warm-up."
        )

    def _snapshot(self, wanted: set[int]) -> None:
        if self.done in wanted and self.first_step + self.done not in self.taken:
            self.taken[self.first_step + self.done] = self.state()

    def _row(self, epoch: float, losses: Tensor) -> Row:
        step = self.first_step + self.done
        row: Row = {
            "epoch": epoch,
            "step": step,
            "learning_rate": self.run.schedule(step - 1),
            "train_loss": float(losses.double().mean()),
        }
        scores, columns = self._scores(step), {}
        if self.callback is not None:
            end = self.callback.end_epoch(self.module, self.optimizer) or EpochEnd()
            columns = end.columns
            if end.state is not None:
                self._go_on_from(end.state.masked(end.state.masks))
                scores = self._scores(step)
        for split, values in scores.items():
            row |= {f"{split}_{metric}": value for metric, value in values.items()}
        return row | columns

    def _scores(self, step: int) -> Mapping[str, dict[str, float]]:
        scores = evaluate_splits(self.module, self.task)
        for split, values in scores.items():
            for metric, value in values.items():
                # The last update comes after the last training loss: this is what shows it.
                if self.task.examples(split) and not math.isfinite(value):
                    self._diverged(f"the {split} {metric} is {value}", step - 1)
        return scores

    def state(self) -> State:
        """The state now, on the CPU in contiguous layout."""
        return replace(
            capture(self.module, self.optimizer),
            masks=self.masks,
            shape=self.shape,
            step=self.first_step + self.done,
            generators=generators.states(self.task.device),
        )


def _to(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}
