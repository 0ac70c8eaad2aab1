"""What is trained: a data set, a network and a recipe, on a device."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from pruning.data.batches import Normalizer
from pruning.data.splits import Splits
from pruning.models.build import NetworkConfig, build, prunable_names
from pruning.seeds import derive
from pruning.training.recipe import Recipe, Timeline
from pruning.training.state import State, capture


@dataclass(frozen=True)
class Task:
    """A data set, a network and a recipe.

    Attributes:
        data: splits, on the device that trains.
        network: which network.
        recipe: how to train it.
        exempt: layer names that are never pruned.
        name: how errors and log lines call it.
    """

    data: Splits
    network: NetworkConfig
    recipe: Recipe
    exempt: tuple[str, ...] = ()
    name: str = "task"

    @property
    def device(self) -> torch.device:
        """Where it trains: where its images are."""
        return self.data.train.images.device

    @cached_property
    def timeline(self) -> Timeline:
        """The recipe laid out over this training set."""
        return self.recipe.timeline(len(self.data.train))

    @cached_property
    def normalize(self) -> Normalizer:
        """From uint8 images to network input."""
        batches = self.recipe.batches
        return Normalizer(batches.normalization, self.data, batches.mean, batches.std)

    def build(self, seed: int | None = None) -> nn.Module:
        """The network, on the CPU, with weights drawn from ``seed`` or unset."""
        return build(self.network, self.data.shape, len(self.data.classes), seed)

    def initial_state(self, seed: int, *purpose: str | int) -> State:
        """A fresh state; ``purpose`` tells draws of one seed apart (dense, reinitialized, ...)."""
        return capture(self.build(derive(seed, *purpose, "weights")))

    def prunable(self) -> list[str]:
        """Names of the prunable weights, in module order."""
        return prunable_names(self.build(), self.exempt)

    def exempt_kernels(self) -> list[str]:
        """Names of the kernels that are never pruned."""
        return [f"{layer}.weight" for layer in self.exempt]
