"""Classification of images: batches, cross-entropy, accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pruning import registry
from pruning.data.batches import Normalizer, TrainingStream
from pruning.data.batching import Batching
from pruning.data.examples import one_image
from pruning.data.scoring import ScoringBatches
from pruning.data.splits import Split, Splits, load
from pruning.data.validation import Validation
from pruning.errors import PruningError
from pruning.models.build import refuse_changing
from pruning.models.config import NetworkConfig
from pruning.models.own import Factory, Wanted
from pruning.seeds import generator
from pruning.training import processes
from pruning.training.metric import ACCURACY, Metric
from pruning.training.recipe import Recipe
from pruning.training.with_network import WithNetwork, study_values

BATCH = 1000  # images at a time in evaluation
MOST_VALUES = 256 * 224 * 224 * 3  # of pixels at a time there: 256 images of ImageNet
IMAGES_PER_CLASS = 10  # to score on: Frankle et al. (2021), section 3


class ImageBatches:
    """What a batch of images (B, C, H, W) and labels (B,) is to scores."""

    label_smoothing = 0.0

    def batch_examples(self, batch: tuple[Tensor, Tensor]) -> int:
        """How many images a batch has."""
        return len(batch[1])

    def scoring_loss(
        self, module: nn.Module, batch: tuple[Tensor, Tensor], temperature: float = 1.0
    ) -> Tensor:
        """Mean cross-entropy of logits / temperature, in nats, with labels smoothed as training
        has them."""
        images, labels = batch
        made = logits(module, images) / temperature
        return nn.functional.cross_entropy(made, labels, label_smoothing=self.label_smoothing)


@dataclass(frozen=True)
class Images(ImageBatches):
    """Images of a shape (C, H, W) and their labels: what scores ask of a task, without its data."""

    shape: tuple[int, int, int]

    def example(self) -> tuple[Tensor, ...]:
        """An image (1, C, H, W) of ones."""
        return one_image(self.shape)


@dataclass(frozen=True)
class Classification(ImageBatches, WithNetwork):
    """Images in, one of several classes out. The library calls it ``pruning.Task``.

    A batch is images (B, C, H, W) float32 and labels (B,) int64.

    Attributes:
        data: splits, on the device that trains.
        network: which network: by name, as a function from shape (C, H, W) and number of classes to
            a module, which is drawn as it draws itself; or a module, of which a copy is kept and
            whose own weights are what is trained first.
        recipe: how to train it.
        exempt: names of layers or tensors that are never pruned.
        also_prunable: names of tensors that are pruned though of no layer that is known.
        name: how errors and log lines call it.
    """

    data: Splits
    network: NetworkConfig | Factory | nn.Module
    recipe: Recipe
    exempt: tuple[str, ...] = ()
    name: str = "task"
    also_prunable: tuple[str, ...] = ()

    metric: ClassVar[Metric] = ACCURACY

    def __post_init__(self) -> None:
        if not isinstance(self.recipe.batches, Batching):
            raise PruningError(
                f"{self.name}: the recipe's batches are of {self.recipe.batches.kind}, and images "
                "are classified. Take `kind` out, or choose another `task`."
            )
        self.take_network()

    @property
    def label_smoothing(self) -> float:
        """Of the recipe."""
        return self.recipe.label_smoothing

    @property
    def device(self) -> torch.device:
        """Where it trains: where its images are."""
        return self.data.train.device

    @cached_property
    def normalize(self) -> Normalizer:
        """From uint8 images to network input."""
        batches = self.recipe.batches
        return Normalizer(batches.normalization, self.data, batches.mean, batches.std)

    def examples(self, split: str) -> int:
        """How many images a split has."""
        return len(getattr(self.data, split))

    def batches(self, seed: int, stream: Sequence[str | int]) -> TrainingStream:
        """The training batches of one run."""
        return TrainingStream(self.data.train, self.normalize, self.recipe.batches, seed, stream)

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy in nats, the recipe's mean or sum over the batch, with its smoothing."""
        images, labels = batch
        return nn.functional.cross_entropy(
            logits(module, images),
            labels,
            reduction=self.recipe.loss,
            label_smoothing=self.recipe.label_smoothing,
        )

    def scoring_batches(
        self, seed: int, images_per_class: int = IMAGES_PER_CLASS
    ) -> ScoringBatches:
        """Un-augmented training images, so many of each class; none where it is 0.

        They depend on the seed alone, so that all methods and levels of a replicate see the same.
        """
        return ScoringBatches(
            self.data.train,
            self.normalize,
            classes=len(self.data.classes),
            per_class=images_per_class,
            size=self.recipe.batches.size,
            generator=generator(seed, "scoring images"),
        )

    def example(self) -> tuple[Tensor, ...]:
        """An image (1, C, H, W) of ones."""
        return one_image(self.data.shape)

    def check_network(self, module: nn.Module, made: Any) -> None:
        """Refuse other than one logit for each class, and code of a user's that makes another
        network each time."""
        ours = type(self).loss is Classification.loss  # else what a network gives is the task's
        if ours and isinstance(made, Tensor) and made.ndim == 2:  # else see `logits`
            self.wanted.check(made)
        named = isinstance(self.network, NetworkConfig)
        if named and registry.is_from_outside("network", self.network.name):
            refuse_changing(partial(self.build, 0), self.example())

    @cached_property
    def wanted(self) -> Wanted:
        """What the network has to be."""
        shape, classes = self.data.shape, len(self.data.classes)
        check = partial(refuse_other_logits, shape=shape, classes=classes)
        image = f"an image (1, {', '.join(map(str, shape))})"
        return Wanted(shape, classes, one_image(shape), image, "shape, classes", check)

    def record(self) -> dict[str, Any]:
        """The data set, and how its images are split."""
        return self.data.record

    def evaluate(self, module: nn.Module, split: str) -> dict[str, float]:
        """:func:`accuracy_and_loss` of a split."""
        return accuracy_and_loss(module, getattr(self.data, split), self.normalize)


def from_values(
    values: Mapping[str, Any], data: Path | str, *, device: str, name: str
) -> Classification:
    """A study's task.

    Args:
        values: plain values of the study: validation, network, recipe, what is exempt and prunable.
        data: the prepared data set.
        device: "cpu", "cuda:0", ...
        name: how errors and log lines call it.
    """
    return Classification(
        data=load(data, Validation(**values["validation"]), device),
        name=name,
        **study_values(values),
    )


def refuse_other_logits(made: Any, shape: tuple[int, int, int], classes: int) -> None:
    """Refuse what is not one logit for each class.

    Args:
        made: what a network gave for one image.
        shape, classes: of the data.

    Raises:
        PruningError: something else; the message says what.
    """
    found = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
    if found != (1, classes):
        image = f"(1, {', '.join(map(str, shape))})"
        raise PruningError(
            f"The network makes {found} of an image {image}, where it has to give one logit for "
            f"each of {classes} classes, (1, {classes})."
        )


def logits(module: nn.Module, images: Tensor) -> Tensor:
    """What a network gives for images (B, C, H, W): (B, classes).

    Raises:
        PruningError: it gives something else, such as outputs of auxiliary classifiers too.
    """
    made = module(images)
    if not isinstance(made, Tensor) or made.ndim != 2 or len(made) != len(images):
        what = f"shape {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        mode = "while it trains" if module.training else "in evaluation"
        raise PruningError(
            f"A network that classifies gives a tensor of (images, classes); this one gives {what} "
            f"for {len(images)} images {mode}. Turn auxiliary outputs off (torchvision: "
            "`options: {aux_logits: false}`), or wrap it in a network of your own."
        )
    return made


def accuracy_and_loss(module: nn.Module, split: Split, normalize: Normalizer) -> dict[str, float]:
    """Accuracy (fraction) and mean cross-entropy (nats).

    Exact over all images of the split, whatever its size; NaN where it has none. Processes that
    train together take turns, batch by batch.
    """
    count, correct, loss = len(split), 0, 0.0
    if not count:
        return {"accuracy": float("nan"), "loss": float("nan")}
    batches = torch.arange(count, device=split.device).split(batch_size(split))
    batches = batches[processes.rank() :: processes.world()]
    for rows, images in zip(batches, split.in_turn(batches), strict=True):
        labels = split.labels[rows]
        made = logits(module, normalize(images))
        loss += nn.functional.cross_entropy(made, labels, reduction="sum").item()
        correct += int((made.argmax(1) == labels).sum())
    correct, loss = processes.total(correct, loss)
    return {"accuracy": correct / count, "loss": loss / count}


def batch_size(split: Split) -> int:
    """How many images at a time in evaluation; fewer of large ones, for their activations."""
    height, width, channels = split.shape
    return max(1, min(BATCH, MOST_VALUES // (height * width * channels)))
