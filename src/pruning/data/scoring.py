"""Training images to score weights on: the first few of each class in a random order."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from pruning.data.batches import Normalizer
from pruning.data.splits import Split
from pruning.errors import PruningError


def first_of_each_class(labels: Tensor, order: Tensor, per_class: int, classes: int) -> Tensor:
    """Walk through ``order`` and take the first ``per_class`` images of each class.

    Args:
        labels: int64 (N,).
        order: a permutation of N.
        per_class: images of each class.
        classes: how many classes there are.

    Returns:
        Indices (classes * per_class,) in the order of the walk.

    Raises:
        PruningError: a class has fewer images.
    """
    walked = labels[order]
    counts = torch.bincount(labels, minlength=classes)
    if int(counts.min()) < per_class:
        raise PruningError(
            f"Scoring wants {per_class} training images of each class, but class "
            f"{int(counts.argmin())} has {int(counts.min())}. Lower `images_per_class`."
        )
    by_class = walked.argsort(stable=True)
    rank = torch.empty_like(walked)
    starts = counts.cumsum(0) - counts
    rank[by_class] = torch.arange(len(walked), device=labels.device) - starts[walked[by_class]]
    return order[rank < per_class]


class ScoringBatches(Sequence):
    """Un-augmented, normalised batches of a class-balanced sample.

    The sample is drawn, and each batch made, only when it is asked for: many scores ask for none,
    and for ImageNet all batches at once are gigabytes.

    Args:
        split: the training images.
        normalize: as in training.
        classes: how many there are.
        per_class: images of each; none where it is 0.
        size: images per batch; the last may be smaller. One that would be alone in the last joins
            the batch before, as batch norm may need two.
        generator: draws the order in which images are looked through.
    """

    def __init__(
        self,
        split: Split,
        normalize: Normalizer,
        *,
        classes: int,
        per_class: int,
        size: int,
        generator: torch.Generator,
    ) -> None:
        self.split, self.normalize, self.size = split, normalize, size
        self.classes, self.per_class, self.generator = classes, per_class, generator

    @cached_property
    def indices(self) -> Tensor:
        """The sample, in the order in which it was found."""
        labels = self.split.labels
        order = torch.randperm(len(labels), generator=self.generator).to(labels.device)
        return first_of_each_class(labels, order, self.per_class, self.classes)

    def __len__(self) -> int:
        if not self.per_class:
            return 0
        whole, rest = divmod(len(self.indices), self.size)
        return whole + (rest > 1 or (rest == 1 and not whole))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        stop = (index + 1) * self.size if index + 1 < len(self) else None
        piece = self.indices[index * self.size : stop]
        return self.normalize(self.split.take(piece)), self.split.labels[piece]
