"""Classification of images: batches, cross-entropy, accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from pruning.data.batches import Normalizer, TrainingStream
from pruning.data.splits import Split, Splits
from pruning.models.build import NetworkConfig, build
from pruning.training.recipe import Recipe
from pruning.training.task import Metric, Task

BATCH = 1000  # images at a time in evaluation


@dataclass(frozen=True)
class Classification(Task):
    """Images in, one of several classes out. The library calls it ``pruning.Task``.

    A batch is images (B, C, H, W) float32 and labels (B,) int64.

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

    metric: ClassVar[Metric] = Metric("accuracy", "fraction", higher_is_better=True)

    @property
    def device(self) -> torch.device:
        """Where it trains: where its images are."""
        return self.data.train.images.device

    @cached_property
    def normalize(self) -> Normalizer:
        """From uint8 images to network input."""
        batches = self.recipe.batches
        return Normalizer(batches.normalization, self.data, batches.mean, batches.std)

    def build(self, seed: int | None = None) -> nn.Module:
        """The network, on the CPU, with weights drawn from ``seed`` or unset."""
        return build(self.network, self.data.shape, len(self.data.classes), seed)

    def examples(self, split: str) -> int:
        """How many images a split has."""
        return len(getattr(self.data, split))

    def batches(self, seed: int, stream: Sequence[str | int]) -> TrainingStream:
        """The training batches of one run."""
        return TrainingStream(self.data.train, self.normalize, self.recipe.batches, seed, stream)

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean cross-entropy, in nats."""
        images, labels = batch
        return nn.functional.cross_entropy(module(images), labels)

    def evaluate(self, module: nn.Module, split: str) -> dict[str, float]:
        """:func:`accuracy_and_loss` of a split."""
        return accuracy_and_loss(module, getattr(self.data, split), self.normalize)


def accuracy_and_loss(module: nn.Module, split: Split, normalize: Normalizer) -> dict[str, float]:
    """Accuracy (fraction) and mean cross-entropy (nats).

    Exact over all images of the split, whatever its size; NaN where it has none.
    """
    correct, loss = 0, 0.0
    for start in range(0, len(split), BATCH):
        labels = split.labels[start : start + BATCH]
        logits = module(normalize(split.images[start : start + BATCH]))
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
    count = len(split)
    if not count:
        return {"accuracy": float("nan"), "loss": float("nan")}
    return {"accuracy": correct / count, "loss": loss / count}
