"""From a state to the network that it is of."""

from torch import nn

from pruning.models import shape
from pruning.models.batch_norm import in_groups
from pruning.training.state import State, load_into
from pruning.training.task import Task


def network_of(task: Task, state: State) -> nn.Module:
    """A task's network in the shape, and with the weights and buffers, of a state; on the CPU.

    Raises:
        PruningError: the state is of another network.
    """
    module = shape.apply(task.build(), state.shape)
    load_into(module, state)
    return module


def training_network(task: Task, state: State) -> nn.Module:
    """The same where the task trains it, in training mode: batch norm works by the recipe's
    groups."""
    module = in_groups(network_of(task, state), task.recipe.batch_norm_group)
    return module.to(task.device).train()
