"""What a score function may look at."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.errors import PruningError, unknown
from pruning.masks import mask as masking
from pruning.models.precision import in_double
from pruning.seeds import derive, generator

if TYPE_CHECKING:
    from pruning.training.task import Task

BATCH_NORM_MODES = ("train", "eval")


@dataclass(frozen=True)
class ScoreContext:
    """The network to be scored. A score changes nothing of it.

    Attributes:
        model: the network; its masked weights may have any value, they are taken as zero.
        masks: the masks so far, one for each tensor that is ranked, by parameter name.
        task: the loss of a batch, and an example of what the network takes.
        batches: for scores that look at data; whatever the task's loss takes.
        seed: the study's seed.
        purpose: what the score is for; with the seed it decides every random draw.
    """

    model: nn.Module
    masks: Mapping[str, Tensor]
    task: "Task"
    batches: Sequence[Any] = ()
    seed: int = 0
    purpose: tuple[str | int, ...] = ()

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The ranked tensors, masked entries zero."""
        named = dict(self.model.named_parameters())
        return masking.apply(self.masks, {name: named[name].detach() for name in self.masks})

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator of this context's own for one purpose."""
        return generator(self.seed, *self.purpose, *purpose)

    @contextlib.contextmanager
    def private_model(self, batch_norm: str) -> Iterator[nn.Module]:
        """A masked copy of the model, to run forward and backward at will.

        Running statistics of the original stay as they are, and so does the global generator, which
        dropout draws from.

        Args:
            batch_norm: ``train``: statistics of the batch (Frankle et al. 2021 for SNIP and
                GraSP); ``eval``: the running ones (SynFlow; Tanaka et al. 2020 for all).

        Raises:
            PruningError: neither of the two.
        """
        if batch_norm not in BATCH_NORM_MODES:
            raise unknown("batch-norm mode", batch_norm, BATCH_NORM_MODES)
        model = copy.deepcopy(self.model).train(batch_norm == "train")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(True).grad = None
                if name in self.masks:
                    parameter.copy_(self.weights[name])
        device = next(model.parameters()).device
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            _differentiable(model),
        ):
            torch.manual_seed(derive(self.seed, *self.purpose, "scoring forward pass"))
            yield model

    @contextlib.contextmanager
    def exact_model(self, batch_norm: str) -> Iterator[nn.Module]:
        """:meth:`private_model` in double precision, whatever precision it asks for itself.

        What it is given has to be in double precision too.
        """
        with self.private_model(batch_norm) as model, in_double():
            yield model.double()

    def required_batches(self, score: str) -> Sequence[Any]:
        """The batches.

        Raises:
            PruningError: there are none.
        """
        if not len(self.batches):
            raise PruningError(
                f"The score {score!r} looks at training data, and its sample has none. Give it a "
                "larger one."
            )
        return self.batches


@contextlib.contextmanager
def _differentiable(model: nn.Module) -> Iterator[None]:
    """Without cuDNN where there are recurrent layers: of those it has no second derivatives, and no
    gradients in evaluation mode. Layers of other networks keep their kernels."""
    before = torch.backends.cudnn.enabled
    recurrent = any(isinstance(layer, nn.RNNBase) for layer in model.modules())
    torch.backends.cudnn.enabled = before and not recurrent
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before
