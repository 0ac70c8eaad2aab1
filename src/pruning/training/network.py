"""From a state to the network it is of."""

from torch import nn

from pruning.training.state import State, load_into
from pruning.training.task import Task


def network_of(task: Task, state: State) -> nn.Module:
    """The task's network with the weights (masked) and buffers of a state, on the CPU.

    Raises:
        PruningError: the state is of another network.
    """
    module = task.build()
    load_into(module, state)
    return module
