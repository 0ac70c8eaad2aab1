"""What is trained, as the loop and evaluation see it: batches, a loss, scores; nothing of data."""

from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from pruning.models.batch_norm import check_groups
from pruning.models.build import prunable_names
from pruning.models.uses import refuse_unused, trace
from pruning.seeds import derive
from pruning.share import WHOLE, Share
from pruning.training.metric import Metric
from pruning.training.recipe import Recipe, Timeline
from pruning.training.state import State, capture


class Batches(Protocol):
    """The endless sequence of training batches of one run, a pure function of the position."""

    def batch(self, index: int, share: Share = WHOLE) -> Any:
        """Batch number ``index``, counted from 0, or a share of it; whatever the task's loss
        takes."""

    def size(self, index: int) -> int:
        """How many examples the whole of batch number ``index`` has."""


class Task(Protocol):
    """A kind of task. A subclass adds its data; :mod:`pruning.training.classification` is one.

    Attributes:
        recipe: how to train.
        exempt: names of layers or tensors that are never pruned.
        also_prunable: names of tensors that are pruned though of no layer that is known.
        name: how errors and log lines call it.
        metric: the score that decides, one of :data:`pruning.registry.METRICS`.
    """

    recipe: Recipe
    exempt: tuple[str, ...]
    also_prunable: tuple[str, ...] = ()
    name: str
    metric: ClassVar[Metric]

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it trains."""

    @abstractmethod
    def build(self, seed: int | None = None) -> nn.Module:
        """The network, on the CPU, with weights drawn from ``seed`` or unset."""

    @abstractmethod
    def examples(self, split: str) -> int:
        """How many examples ``train``, ``validation`` or ``test`` has; only the first needs any."""

    @abstractmethod
    def batches(self, seed: int, stream: Sequence[str | int]) -> Batches:
        """The training batches of one run; (seed, stream) decides all its draws."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Any) -> Tensor:
        """What is minimized: a scalar, the recipe's mean or sum over the examples of the batch."""

    @abstractmethod
    def batch_examples(self, batch: Any) -> int:
        """How many examples the loss of a batch is the mean over."""

    def weight(self, examples: int, whole: int) -> float:
        """What the loss of so many examples counts in that of a batch of ``whole``: their share in
        a mean, everything in a sum, as the recipe says."""
        return 1.0 if self.recipe.loss == "sum" else examples / whole

    @abstractmethod
    def scoring_batches(self, seed: int, **sample: Any) -> Sequence[Any]:
        """Batches to score weights on, drawn from the seed alone and made when asked for.

        Args:
            seed: the study's seed.
            sample: which examples and how many, as this kind of task counts them.
        """

    @abstractmethod
    def scoring_loss(self, module: nn.Module, batch: Any, temperature: float = 1.0) -> Tensor:
        """What scores differentiate: the loss, with its logits divided by a temperature.

        Raises:
            PruningError: a temperature, where the loss has no logits.
        """

    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """One example as the network's arguments, on the CPU; what is real is 1 throughout.

        Costs are counted and paths are followed on it.
        """

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Plain values that name the data in every summary; ``dataset`` is one."""

    @abstractmethod
    def evaluate(self, module: nn.Module, split: str) -> dict[str, float]:
        """Scores by name over a whole split, NaN where it is empty; every split has the same names.

        Called through :func:`pruning.training.evaluate.evaluate_split`, which sees to evaluation
        mode and to no gradients.
        """

    def check_network(self, module: nn.Module, made: Any) -> None:
        """Refuse a network that is none for this kind of task, before anything is trained.

        Args:
            module: the network.
            made: what it gave for :meth:`example`, in evaluation mode.

        Raises:
            PruningError: it cannot be; of this class never.
        """

    @cached_property
    def timeline(self) -> Timeline:
        """The recipe laid out over this training set."""
        return self.recipe.timeline(self.examples("train"))

    def examples_seen(self, steps: int | Fraction) -> float:
        """How many training examples so many steps see."""
        return float(steps / self.timeline.steps_per_pass * self.examples("train"))

    def initial_state(self, seed: int, *purpose: str | int) -> State:
        """A fresh state; ``purpose`` tells draws of one seed apart (dense, reinitialized, ...)."""
        return capture(self.build(derive(seed, *purpose, "weights")))

    def prunable(self) -> list[str]:
        """Names of the prunable weights, in module order.

        Everything that trains, scores or prunes asks this first, so it is also where a network is
        refused that cannot be pruned.

        Raises:
            PruningError: see :func:`pruning.models.build.prunable_names`; the network cannot run on
                an example; prunable weights that it does not use, or uses in a way that is not
                understood; groups to normalize by, and no batch norm that does.
        """
        return list(self._prunable)

    @cached_property
    def _prunable(self) -> list[str]:
        module = self.build()
        names = prunable_names(module, self.exempt, self.also_prunable)
        check_groups(module, self.recipe.batch_norm_group)
        traced = trace(module, self.example())
        refuse_unused(names, traced)
        self.check_network(module, traced.output)
        return names
