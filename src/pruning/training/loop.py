"""The training loop. It knows nothing of pruning methods: only a state, masks and a schedule.

A masked weight stays zero because its *gradient* is masked: from weight 0, slot 0 and gradient 0
every optimizer with coupled weight decay makes weight 0 and slot 0, whatever momentum and decay
are. One foreach multiplication per step is all that masks cost.
"""

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, nn

from pruning.data.batches import TrainingStream
from pruning.errors import TrainingDiverged
from pruning.seeds import derive
from pruning.training import optimizers
from pruning.training.arithmetic import arithmetic
from pruning.training.evaluate import evaluate_splits
from pruning.training.resume import Progress, ResumeFile
from pruning.training.schedules import Schedule
from pruning.training.state import State, load_into
from pruning.training.task import Task

log = logging.getLogger("pruning")

Row = dict[str, float | int]
Probe = Callable[[nn.Module], Row]


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        steps: optimizer updates to make.
        schedule: learning rate by global step.
        seed: the study's seed.
        stream: purpose of the run; (seed, stream) decides data order and augmentation.
        first_batch: index of the first batch within the stream.
    """

    steps: int
    schedule: Schedule
    seed: int
    stream: tuple[str | int, ...]
    first_batch: int = 0


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        state: the final state.
        metrics: one row per epoch and one for the end: epoch, step, learning_rate, train_loss and
            accuracy and loss of validation and test.
        snapshots: the states at the steps that were asked for.
        steps: optimizer updates made.
        seconds: time spent training, over all sittings.
    """

    state: State
    metrics: list[Row]
    snapshots: Mapping[int, State]
    steps: int
    seconds: float


def train(
    task: Task,
    state: State,
    run: Run,
    *,
    snapshots: tuple[int, ...] = (),
    probe: Probe | None = None,
    resume: ResumeFile | None = None,
) -> Trained:
    """Train from a state.

    Args:
        task: data, network and recipe.
        state: where to start; its masks hold throughout.
        run: how far, at which rates, on which batches.
        snapshots: global steps whose states are wanted besides the last.
        probe: what else to write down of the network at the end of every epoch; it leaves the
            network as it was.
        resume: a file that a killed training continues from.

    Raises:
        TrainingDiverged: the loss is no longer finite; names the step and the learning rate.
    """
    with arithmetic(task.recipe.threads), _generators(run, task.device):
        progress = resume.load() if resume else None
        if progress is None:
            progress = Progress(state.masked(state.masks))
        else:
            log.info("%s: resumed after %d of %d steps", task.name, progress.done, run.steps)
        return _Trainer(task, run, progress, probe).finish(snapshots, resume)


class _Trainer:
    def __init__(
        self, task: Task, run: Run, progress: Progress, probe: Probe | None = None
    ) -> None:
        state = progress.state
        self.task, self.run, self.masks, self.probe = task, run, state.masks, probe
        self.done, self.first_step = progress.done, state.step - progress.done
        self.metrics, self.taken = list(progress.metrics), dict(progress.snapshots)
        self.seconds_before, self.started = progress.seconds, time.perf_counter()
        self.module = task.build().to(task.device).to(memory_format=torch.channels_last).train()
        load_into(self.module, state)
        self.optimizer = optimizers.make(task.recipe.optimizer, self.module, task.exempt_kernels())
        optimizers.load_slots(self.optimizer, self.module, _to(state.slots, task.device))
        _restore_generators(state.generators, task.device)
        self.stream = TrainingStream(
            task.data.train, task.normalize, task.recipe.batches, run.seed, run.stream
        )
        named = dict(self.module.named_parameters())
        self.masked = [named[name] for name in self.masks]
        # As floats in the parameter's memory layout, so that one fused kernel multiplies them all.
        self.factors = [
            torch.empty_like(p, requires_grad=False).copy_(self.masks[name])
            for name, p in zip(self.masks, self.masked, strict=True)
        ]

    def finish(self, snapshots: tuple[int, ...], resume: ResumeFile | None) -> Trained:
        wanted = {s - self.first_step for s in snapshots if s >= self.first_step}
        self._snapshot(wanted)
        losses: list[Tensor] = []
        with _bar(self.task.name, self.run.steps, self.done) as advance:
            for stop, epoch in self._stops(wanted):
                losses.append(self._steps(stop))
                advance(stop)
                self._snapshot(wanted)
                if epoch is not None:
                    self.metrics.append(self._row(epoch, torch.cat(losses)))
                    losses = []
                    log.info(_line(self.task.name, self.metrics[-1]))
                    if resume and self.done < self.run.steps:
                        resume.offer(self.progress)
        return Trained(self.state(), self.metrics, self.taken, self.run.steps, self._seconds())

    def progress(self) -> Progress:
        """What a killed training goes on from."""
        return Progress(self.state(), self.done, self.metrics, self.taken, self._seconds())

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def _stops(self, wanted: set[int]) -> Iterator[tuple[int, float | None]]:
        """(steps done, epoch) where to pause: ends of epochs, of the run, and snapshots (None)."""
        timeline = self.task.timeline
        ends, epoch = {}, 1
        while timeline.epoch_end(epoch) < self.run.steps:
            ends[timeline.epoch_end(epoch)] = float(epoch)
            epoch += 1
        if self.run.steps:
            ends[self.run.steps] = float(self.run.steps / timeline.steps_per_epoch)
        for stop in sorted(ends.keys() | wanted):
            if self.done < stop <= self.run.steps:
                yield stop, ends.get(stop)

    def _steps(self, stop: int) -> Tensor:
        """Train until ``stop`` steps are done; the losses of the steps made."""
        count = stop - self.done
        losses = torch.zeros(count, device=self.task.device)
        groups = self.optimizer.param_groups
        for i in range(count):
            images, labels = self.stream.batch(self.run.first_batch + self.done + i)
            rate = self.run.schedule(self.first_step + self.done + i)
            for group in groups:
                group["lr"] = rate * group["relative_rate"]
            self.optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(self.module(images), labels)
            loss.backward()
            if self.masked:
                torch._foreach_mul_([p.grad for p in self.masked], self.factors)
            self.optimizer.step()
            losses[i] = loss.detach()
        self._require_finite(losses)
        self.done = stop
        return losses

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
        scores = evaluate_splits(self.module, self.task.data, self.task.normalize)
        for split, values in scores.items():
            # The last update comes after the last training loss: this is what shows it.
            if len(getattr(self.task.data, split)) and not math.isfinite(values["loss"]):
                self._diverged(f"the {split} loss is {values['loss']}", step - 1)
            row |= {f"{split}_{metric}": value for metric, value in values.items()}
        if self.probe:
            row |= self.probe(self.module)
        return row

    def state(self) -> State:
        """The state now, on the CPU in contiguous layout."""
        return State(
            weights=_cpu(dict(self.module.named_parameters())),
            buffers=_cpu(dict(self.module.named_buffers())),
            slots=_cpu(optimizers.slots(self.optimizer, self.module)),
            masks=self.masks,
            step=self.first_step + self.done,
            generators=_generator_states(self.task.device),
        )


def _cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def _to(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


@contextlib.contextmanager
def _generators(run: Run, device: torch.device) -> Iterator[None]:
    """Seed the global generator for this run's forward passes (dropout); put it back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive(run.seed, *run.stream, "forward pass"))
        yield


def _generator_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


@contextlib.contextmanager
def _bar(name: str, steps: int, done: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; with a log file, its line per epoch is enough."""
    logs_to_file = any(isinstance(h, logging.FileHandler) for h in log.handlers)
    if logs_to_file or not sys.stderr.isatty():
        yield lambda stop: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, initial=done, desc=name, unit="step", leave=False) as bar:
        yield lambda stop: bar.update(stop - bar.n)


def _line(name: str, row: Row) -> str:
    return (
        f"{name}: epoch {row['epoch']:g}, step {row['step']}, lr {row['learning_rate']:g}, "
        f"loss {row['train_loss']:.4f}, validation {row['validation_accuracy']:.4f}, "
        f"test {row['test_accuracy']:.4f}"
    )
