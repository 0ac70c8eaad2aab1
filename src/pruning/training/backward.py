"""The gradients of one step: of a whole batch, or of its shares and then added up.

Several processes add up one flat buffer per type of numbers, all gradients in the order of
parameters, once a step. torch's DistributedDataParallel would regroup its buffers after its first
step, and the grouping decides the order of summation: a training of three or more processes that
was resumed would end in other bytes.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.training import processes
from pruning.training.arithmetic import forward_pass
from pruning.training.callback import Callback
from pruning.training.task import Batches, Task


class Backward(Protocol):
    """Gradients of the loss and of a callback's penalty."""

    def __call__(self, index: int, step: int) -> Tensor:
        """Leave the gradients of batch ``index`` in the network; its loss without the penalty."""


def backward_of(
    task: Task, module: nn.Module, batches: Batches, callback: Callback | None
) -> Backward:
    """How the gradients of a training are computed; the recipe says by how many processes."""
    if task.recipe.processes == 1:
        return Alone(task, module, batches, callback)
    return Together(task, module, batches, callback)


class Alone:
    """One process; the arguments are :func:`backward_of`'s."""

    def __init__(
        self, task: Task, module: nn.Module, batches: Batches, callback: Callback | None
    ) -> None:
        self.task, self.module, self.batches, self.callback = task, module, batches, callback

    def __call__(self, index: int, step: int) -> Tensor:
        """See :class:`Backward`."""
        loss = _loss(self.task, self.module, self.batches.batch(index))
        term = self.callback.penalty(self.module, loss, step) if self.callback else None
        (loss if term is None else loss + term).backward()
        return loss.detach()


class Together:
    """One of several processes; the arguments are :func:`backward_of`'s.

    The loss of a share counts as much as it has examples, so short batches need nothing special,
    and what is added up is the gradient of the mean over the whole batch. A process without any
    example of a batch adds nothing.

    Buffers of floating point (the statistics of batch norms) become the mean over processes, by
    examples: all of them begin a step with the same, what a batch norm does to them is linear, and
    so the mean of what they became is what the mean of the shares' statistics makes of them. Only
    how much they changed is added up, as a mean of equal numbers may differ from them in the last
    bit, and what never changes (constants, thresholds, masks of attention) must not begin to.

    Raises:
        PruningError: batches that cannot be shared out.
    """

    def __init__(
        self, task: Task, module: nn.Module, batches: Batches, callback: Callback | None
    ) -> None:
        self.task, self.module, self.batches, self.callback = task, module, batches, callback
        self.share = task.recipe.share(processes.rank())
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.moving = [b for b in module.buffers() if b.is_floating_point()]
        self.counting = [b for b in module.buffers() if not b.is_floating_point()]
        self.penalized = callback is not None and type(callback).penalty is not Callback.penalty
        if not hasattr(batches, "size"):
            raise PruningError(
                f"{task.name}: the recipe says `processes: {task.recipe.processes}`, and batches "
                f"of this kind of task ({type(batches).__name__}) cannot be shared out. They need "
                "`batch(index, share)` and `size(index)`, see pruning.training.task.Batches."
            )

    def __call__(self, index: int, step: int) -> Tensor:
        """See :class:`Backward`; gradients and loss are those of the whole batch, on all."""
        count = self.batches.size(index)
        first, stop = self.share.rows(count)
        weight = (stop - first) / count
        before = [buffer.clone() for buffer in self.moving]
        local = self._share_of_loss(index, stop - first, weight) if weight else None
        loss = torch.zeros((), device=self.task.device)  # of one type on all, as some have none
        if local is not None:
            loss += local.detach()
        self._differentiate(local, loss, step)
        with torch.no_grad():
            self._add_up(loss, weight, before)
            if self.share.leaves_some_nothing(count):
                for buffer in self.counting:
                    processes.broadcast_(buffer)
        return loss

    def _share_of_loss(self, index: int, examples: int, weight: float) -> Tensor:
        batch = self.batches.batch(index, self.share)
        given = self.task.batch_examples(batch)
        if given != examples:
            raise PruningError(
                f"{self.task.name}: batches of this kind of task gave {given} examples for a share "
                f"of {examples}. See pruning.training.task.Batches."
            )
        return _loss(self.task, self.module, batch) * weight

    def _differentiate(self, local: Tensor | None, loss: Tensor, step: int) -> None:
        """Backward passes of the share, and on process 0, which always has one, of the penalty.

        So the sum has the penalty once, and the same on all. It is told the whole batch's loss.
        """
        if not self.penalized:
            if local is not None:
                local.backward()
            return
        whole = processes.sum_(loss.clone()).requires_grad_()
        term = self.callback.penalty(self.module, whole, step)
        if local is not None:
            (local if term is None or processes.rank() else local + term).backward()
        if whole.grad is not None:
            raise PruningError(
                f"{self.task.name}: the penalty of {type(self.callback).__name__} differentiates "
                "the loss of the task, which several processes share. Use its value "
                "(`loss.detach()`), or processes: 1."
            )

    def _add_up(self, loss: Tensor, weight: float, before: Sequence[Tensor]) -> None:
        """Replace gradients, loss and moving buffers by what they are over all processes."""
        has = [p.grad is not None for p in self.parameters]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        changes = [_change(b, old).mul_(weight) for b, old in zip(self.moving, before, strict=True)]
        flags = loss.new_ones(len(has)) if all(has) else loss.new_tensor([float(h) for h in has])
        _sum_flat([*gradients, flags, loss, *changes])
        for buffer, old, change in zip(self.moving, before, changes, strict=True):
            buffer.copy_(old + change)
        # What has no gradient anywhere must have none. Who has all need not ask, and wait.
        for parameter, gradient, one in zip(
            self.parameters, gradients, has if all(has) else flags.tolist(), strict=True
        ):
            if one:
                parameter.grad = gradient


def _loss(task: Task, module: nn.Module, batch: object) -> Tensor:
    with forward_pass(task.recipe.precision, task.device):
        return task.loss(module, batch)


def _change(buffer: Tensor, old: Tensor) -> Tensor:
    """How a buffer changed; 0 also where it is infinite and was before."""
    return torch.where(buffer == old, torch.zeros_like(buffer), buffer - old)


def _sum_flat(tensors: Sequence[Tensor]) -> None:
    """Add tensors up over processes, in place: in one piece for each type of numbers."""
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        mine = [tensor for tensor in tensors if tensor.dtype == kind]
        flat = processes.sum_(torch.cat([tensor.reshape(-1) for tensor in mine]))
        parts = flat.split([tensor.numel() for tensor in mine])
        torch._foreach_copy_(mine, [p.view(t.shape) for p, t in zip(parts, mine, strict=True)])
