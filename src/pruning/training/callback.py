"""The loop's one seam: what a method does while a network trains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pruning.training.state import State

if TYPE_CHECKING:
    from pruning.training.loop import Run
    from pruning.training.task import Task

Row = dict[str, float | int]


@dataclass(frozen=True)
class EpochEnd:
    """What a callback leaves at the end of an epoch.

    Attributes:
        columns: what else to write down in this epoch's row of the metrics; every epoch has the
            same names, and none begins with the name of a split and ``_`` as scores do.
        state: what training goes on from instead, perhaps in another shape: weights, buffers,
            optimizer slots and masks are all taken from here, step and generators stay the run's.
            None: training goes on as it was.
    """

    columns: Row = field(default_factory=dict)
    state: State | None = None


class Callback:
    """What a method does while a network trains; each of these does nothing.

    One object accompanies one training. All that it remembers from step to step belongs into
    :meth:`state_dict`, or a training that was killed would end in other numbers. Random draws come
    from generators of its own. Steps are global, as the schedule counts them.

    Where several processes train together each has such an object, and all have to do the same, to
    the bit. Gradients, and the weights and scores that follow from them, are the same for all.
    """

    def adapt(self, module: nn.Module) -> nn.Module:
        """The network that trains, made of the one that the task builds.

        Called before weights are loaded: at the start, when a killed training goes on (after
        :meth:`load_state_dict`) and after :meth:`end_epoch` gave a state. So a callback that
        changes shapes remembers which, and cuts them here; values do not matter yet.

        Args:
            module: freshly built, on the CPU; may be changed in place.
        """
        return module

    def settings(self, task: "Task", run: "Run") -> "tuple[Task, Run]":
        """The task and run that training goes on with: other batches, other rates, another length.

        Called where :meth:`adapt` is, and before it, always with what the training was given. The
        stream is that of the new task's batches, at index ``first_batch`` + steps done.
        """
        return task, run

    def penalty(self, module: nn.Module, loss: Tensor, step: int) -> Tensor | None:
        """A term to add to the loss before gradients are taken; the metrics' loss is without it.

        Where the recipe clips, its gradient is clipped together with the loss's; recipes that clip
        parts of a batch by themselves (``clip_groups``) refuse penalties.

        Args:
            module: the network, after the forward pass of the step.
            loss: of the task, a scalar; where several processes share the batch, that of all of it,
                which cannot be differentiated.
            step: number of the step that is about to be made.

        Returns:
            A scalar, or None for no term.
        """
        return None

    def before_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """A change of gradients in place, before masked ones become zero and the update is made.

        Where the recipe clips, they have been masked and clipped, and are not clipped again.
        """

    def after_step(self, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """A change of weights in place, after the update; what is masked has to stay zero."""

    def end_epoch(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> EpochEnd | None:
        """What to write down, and what to go on from, when an epoch is over, also the last.

        The network's scores are of what it goes on from; a snapshot of this step is of before.
        :func:`pruning.training.state.capture` makes a state of both arguments to start from. They
        are left as they are: the loop builds anew from the state that is given back, by the same
        path as a training that was killed here, so that both go on to the same bytes.
        """
        return None

    def state_dict(self) -> Mapping[str, Tensor]:
        """What has to survive when the training is killed; tensors on the CPU."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
