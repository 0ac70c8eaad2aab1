"""What tasks have in common whose network is a name, a function or a module of a user's."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import nn

from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.own import Factory, Wanted, build_own, check_own, copied
from pruning.training.recipe import Recipe
from pruning.training.state import State, capture
from pruning.training.task import Task


class WithNetwork(Task):
    """A task that is given its network; a subclass says what it has to be.

    Attributes:
        network: by name; as a function from what networks take and make to a module, which is drawn
            as it draws itself; or a module, of which a copy is kept and whose own weights are what
            is trained first.
    """

    network: NetworkConfig | Factory | nn.Module

    @property
    @abstractmethod
    def wanted(self) -> Wanted:
        """What the network has to be."""

    def take_network(self) -> None:
        """Check a network of the user's, and keep a copy of a module; for ``__post_init__``."""
        if not isinstance(self.network, NetworkConfig):
            check_own(self.network, self.wanted)
        if isinstance(self.network, nn.Module):
            object.__setattr__(self, "network", copied(self.network))

    def build(self, seed: int | None = None) -> nn.Module:
        """The network, on the CPU, with weights drawn from ``seed`` or unset.

        Raises:
            PruningError: a seed where the network is a module, whose weights cannot be drawn.
        """
        given = self.wanted.takes, self.wanted.makes, seed
        if isinstance(self.network, NetworkConfig):
            return build(self.network, *given)
        return build_own(self.network, *given)

    def initial_state(self, seed: int, *purpose: str | int) -> State:
        """As of every task; where the network is a module, its own weights begin the ``dense``
        training, and there are no others."""
        if isinstance(self.network, nn.Module) and purpose == ("dense",):
            return capture(self.build())
        return super().initial_state(seed, *purpose)


def study_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a study's plain values say of every such task, as its arguments."""
    return {
        "network": NetworkConfig(**values["network"]),
        "recipe": Recipe.from_dict(values["recipe"]),
        "exempt": tuple(values["exempt"]),
        "also_prunable": tuple(values.get("prunable", ())),
    }
