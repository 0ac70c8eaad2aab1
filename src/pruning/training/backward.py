"""The gradients of one step: of a whole batch, or of its shares and then added up.

Several processes add up one flat buffer per type of numbers, all gradients in the order of
parameters, once a step. torch's DistributedDataParallel would regroup its buffers after its first
step, and the grouping decides the order of summation: a training of three or more processes that
was resumed would end in other bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.share import Share
from pruning.training import processes
from pruning.training.arithmetic import forward_pass
from pruning.training.callback import Callback
from pruning.training.task import Batches, Task


class Backward(Protocol):
    """Gradients of the loss and of a callback's penalty."""

    def __call__(self, index: int, step: int) -> Tensor:
        """Leave the gradients of batch ``index`` in the network; its loss without the penalty."""


def backward_of(
    task: Task,
    module: nn.Module,
    batches: Batches,
    callback: Callback | None,
    mask: Callable[[], None] = lambda: None,
) -> Backward:
    """How the gradients of a training are computed; the recipe says by how many processes, and
    what they are clipped to.

    Args:
        task, module, batches, callback: of the training.
        mask: makes the gradients of masked weights zero, as the norms of clipping leave them out.
    """
    recipe = task.recipe
    if recipe.clip_groups > 1:
        return InParts(task, module, batches, callback, mask)
    kind = Alone if recipe.processes == 1 else Together
    backward = kind(task, module, batches, callback)
    return backward if recipe.clip is None else Clipped(backward, module, recipe.clip, mask)


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


class Clipped:
    """Gradients of a whole batch, clipped to a global norm.

    Args:
        backward: makes the gradients, a penalty's included.
        module: the network.
        norm: the highest.
        mask: as of :func:`backward_of`.
    """

    def __init__(
        self, backward: Backward, module: nn.Module, norm: float, mask: Callable[[], None]
    ) -> None:
        self.backward, self.norm, self.mask = backward, norm, mask
        self.parameters = _trained(module)

    def __call__(self, index: int, step: int) -> Tensor:
        """See :class:`Backward`."""
        loss = self.backward(index, step)
        self.mask()
        clip_([p.grad for p in self.parameters if p.grad is not None], self.norm)
        return loss


def clip_(gradients: Sequence[Tensor], norm: float) -> None:
    """Scale gradients in place so that their global norm is ``norm`` at most; others stay."""
    if gradients:
        found = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (norm / found).clamp(max=1.0))


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
        self.parameters = _trained(module)
        self.moving = [b for b in module.buffers() if b.is_floating_point()]
        self.counting = [b for b in module.buffers() if not b.is_floating_point()]
        self.penalized = _has_penalty(callback)
        self._part = _Parts(task, module, batches, f"processes: {task.recipe.processes}")

    def __call__(self, index: int, step: int) -> Tensor:
        """See :class:`Backward`; gradients and loss are those of the whole batch, on all."""
        count = self.batches.size(index)
        first, stop = self.share.rows(count)
        weight = (stop - first) / count
        before = [buffer.clone() for buffer in self.moving]
        local = self._part(index, self.share) if weight else None
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
        changes = [_change(b, old).mul_(weight) for b, old in zip(self.moving, before, strict=True)]
        add_up(self.parameters, loss, changes)
        for buffer, old, change in zip(self.moving, before, changes, strict=True):
            buffer.copy_(old + change)


def add_up(parameters: Sequence[nn.Parameter], loss: Tensor, others: Sequence[Tensor] = ()) -> None:
    """Replace gradients, a loss and other tensors by their sums over all processes."""
    has = [p.grad is not None for p in parameters]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flags = loss.new_ones(len(has)) if all(has) else loss.new_tensor([float(h) for h in has])
    _sum_flat([*gradients, flags, loss, *others])
    # What has no gradient anywhere must have none. Who has all need not ask, and wait.
    for parameter, gradient, one in zip(
        parameters, gradients, has if all(has) else flags.tolist(), strict=True
    ):
        if one:
            parameter.grad = gradient


class InParts:
    """Gradients of parts of a batch, each clipped by itself, and added up: over those of this
    process, and over processes. The arguments are :func:`backward_of`'s.

    Raises:
        PruningError: batches that cannot be shared out; a penalty, of which it is not said how it
            would be clipped; a batch norm, or buffers that the first forward pass changes: for both
            each part would count as a batch.
    """

    def __init__(
        self,
        task: Task,
        module: nn.Module,
        batches: Batches,
        callback: Callback | None,
        mask: Callable[[], None],
    ) -> None:
        recipe = task.recipe
        said = f"clip_groups: {recipe.clip_groups}"
        if _has_penalty(callback):
            raise PruningError(
                f"{task.name}: the recipe says `{said}`, and {type(callback).__name__} adds a "
                "penalty to the loss of whole batches. Say clip_groups: 1."
            )
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules()):
            raise PruningError(
                f"{task.name}: the recipe says `{said}`, and the network has batch norms, for "
                "which each part would be a batch. Say clip_groups: 1."
            )
        self.task, self.batches, self.norm, self.mask = task, batches, recipe.clip, mask
        self.before: dict[str, Tensor] | None = _buffers(module)  # until a part has been passed
        self.parameters = _trained(module)
        each = recipe.clip_groups // recipe.processes
        mine = range(processes.rank() * each, (processes.rank() + 1) * each)
        self.shares = [Share(number, recipe.clip_groups) for number in mine]
        self._part = _Parts(task, module, batches, said)

    def __call__(self, index: int, step: int) -> Tensor:
        """See :class:`Backward`; gradients and loss are those of the whole batch, on all."""
        count = self.batches.size(index)
        loss = torch.zeros((), device=self.task.device)
        sums: list[Tensor | None] = [None] * len(self.parameters)
        for share in self.shares:
            first, stop = share.rows(count)
            if first == stop:
                continue
            for parameter in self.parameters:
                parameter.grad = None
            part = self._part(index, share)
            self._refuse_changed_buffers()
            part.backward()
            self.mask()
            clip_([p.grad for p in self.parameters if p.grad is not None], self.norm)
            loss += part.detach()
            sums = [
                p.grad if total is None else total if p.grad is None else total.add_(p.grad)
                for total, p in zip(sums, self.parameters, strict=True)
            ]
        for parameter, total in zip(self.parameters, sums, strict=True):
            parameter.grad = total
        if self.task.recipe.processes > 1:
            with torch.no_grad():
                add_up(self.parameters, loss)
        return loss

    def _refuse_changed_buffers(self) -> None:
        """Looked at once, as looking waits for the device."""
        if self.before is None:
            return
        after = dict(self._part.module.named_buffers())
        changed = [name for name, old in self.before.items() if _differs(after[name], old)]
        self.before = None
        if changed:
            raise PruningError(
                f"{self.task.name}: the recipe says `{self._part.said}`, and the network's forward "
                f"pass changes {', '.join(changed)}, as if each part were a batch. Say "
                "clip_groups: 1."
            )


@dataclass(frozen=True)
class _Parts:
    """The losses of parts of batches, as much as they count in a whole batch's."""

    task: Task
    module: nn.Module
    batches: Batches
    said: str  # by the recipe, for messages

    def __post_init__(self) -> None:
        if not hasattr(self.batches, "size"):
            raise PruningError(
                f"{self.task.name}: the recipe says `{self.said}`, and batches of this kind of "
                f"task ({type(self.batches).__name__}) cannot be shared out. They need "
                "`batch(index, share)` and `size(index)`, see pruning.training.task.Batches."
            )

    def __call__(self, index: int, share: Share) -> Tensor:
        count = self.batches.size(index)
        first, stop = share.rows(count)
        batch = self.batches.batch(index, share)
        given = self.task.batch_examples(batch)
        if given != stop - first:
            raise PruningError(
                f"{self.task.name}: batches of this kind of task gave {given} examples for a share "
                f"of {stop - first}. See pruning.training.task.Batches."
            )
        return _loss(self.task, self.module, batch) * self.task.weight(given, count)


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def _differs(buffer: Tensor, old: Tensor) -> bool:
    """Whether a buffer changed where it was a number before."""
    return bool(((buffer != old) & (old == old)).any())


def _has_penalty(callback: Callback | None) -> bool:
    return callback is not None and type(callback).penalty is not Callback.penalty


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
