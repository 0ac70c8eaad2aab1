"""Mini-batches that grow with the memory that pruning frees.

The paper has the idea; its rule could not be read, and no released code has one (reference, section
1.7). The rule here is this project's own reading: at a reconfiguration the batch becomes the
largest multiple of some number whose estimated memory is within a budget, never smaller than it
was, and the learning rate is multiplied by as much as the batch.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from pruning.training.loop import Run
from pruning.training.task import Task

BYTES_PER_PARAMETER = 12  # weight, gradient and momentum in float32


@dataclass(frozen=True)
class Growth:
    """How mini-batches grow.

    Attributes:
        maximum: images in the largest batch.
        multiple: every larger batch is a multiple of this.
    """

    maximum: int
    multiple: int = 32

    def size(self, memory: "Memory", budget: float, now: int) -> int:
        """The batch from here on: the largest within the budget in bytes, never less than now."""
        fitting = [
            size
            for size in range(self.multiple, self.maximum + 1, self.multiple)
            if memory.of(size) <= budget
        ]
        return max([now, *fitting])


@dataclass(frozen=True)
class Memory:
    """An estimate of what training takes.

    Attributes:
        parameters: of the network.
        saved: bytes per image that a forward pass keeps for the backward pass.
    """

    parameters: int
    saved: float

    def of(self, batch: int) -> float:
        """Bytes with so many images at a time."""
        return BYTES_PER_PARAMETER * self.parameters + batch * self.saved


def memory_of(module: nn.Module, example: tuple[Tensor, ...]) -> Memory:
    """The estimate for a network, calibrated by forward passes of two and of four examples.

    Args:
        module: the network; left as it was.
        example: what it takes, a batch of one, where the network is.
    """
    probe = copy.deepcopy(module).train()
    saved = [_saved(probe, tuple(part.repeat_interleave(n, 0) for part in example)) for n in (2, 4)]
    return Memory(sum(p.numel() for p in module.parameters()), (saved[1] - saved[0]) / 2)


def _saved(module: nn.Module, example: tuple[Tensor, ...]) -> int:
    """Bytes of what autograd keeps of a forward pass, each piece of memory counted once."""
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)  # so that no other tensor gets its place
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        module(*example)
    return sum(kept.values())


def grown(task: Task, run: Run, sizes: Sequence[tuple[int, int]]) -> tuple[Task, Run]:
    """Task and run of a training whose batches have grown.

    Args:
        task, run: as given at the start; an epoch is a whole number of batches.
        sizes: (epochs that were over, images per batch from then on), the first of epoch 0.

    Returns:
        The task with batches of the last size, and a run that is as long in epochs as before: at a
        share of an epoch the learning rate is what it was there, times the growth of the batch.
    """
    before = task.timeline.steps_per_epoch
    epochs = Fraction(run.steps) / before
    ends, segments, now = [], [], task
    for (first, size), following in zip(sizes, [*sizes[1:], None], strict=True):
        batches = replace(task.recipe.batches, size=size)
        now = replace(task, recipe=replace(task.recipe, batches=batches))
        per_epoch, start = now.timeline.steps_per_epoch, ends[-1] if ends else 0
        segments.append((start, first, per_epoch, size / sizes[0][1]))
        until = epochs if following is None else following[0]
        count = first + 1
        while count <= until:
            ends.append(start + int((count - first) * per_epoch))
            count += 1
        if count - 1 < until:
            ends.append(start + int((until - first) * per_epoch))
    schedule = run.schedule

    def rate(step: int) -> float:
        start, first, per_epoch, factor = next(s for s in reversed(segments) if step >= s[0])
        epoch = first + Fraction(step - start) / per_epoch
        return factor * schedule(int(epoch * before))

    start, first, per_epoch, _ = segments[-1]
    return now, replace(
        run,
        steps=ends[-1],
        schedule=rate,
        epoch_ends=tuple(ends),
        first_batch=run.first_batch + int(first * per_epoch) - start,
    )


def to_tensor(sizes: Sequence[tuple[int, int]]) -> Tensor:
    """For a resume file."""
    return torch.tensor(list(sizes))


def from_tensor(tensor: Tensor) -> list[tuple[int, int]]:
    """What :func:`to_tensor` gave."""
    return [tuple(row) for row in tensor.tolist()]
