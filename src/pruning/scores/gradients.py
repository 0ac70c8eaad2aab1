"""Sums over scoring batches that SNIP and GraSP share."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from pruning.errors import unknown
from pruning.scores.context import Batch

REDUCTIONS = ("per_batch", "summed")

Tensors = tuple[Tensor, ...]


def check_reduction(reduction: str) -> None:
    """Refuse what is no way to put batches together.

    ``per_batch``: each batch has a score of its own, and their mean over images counts (Frankle et
    al. 2021, authors' code). How the images are split is then part of the method. ``summed``:
    gradients are averaged over all images first (Tanaka et al. 2020, authors' code); without batch
    statistics that does not depend on the split.

    Raises:
        PruningError: neither of the two.
    """
    if reduction not in REDUCTIONS:
        raise unknown("reduction over scoring batches", reduction, REDUCTIONS)


def mean_over_images(batches: Sequence[Batch], function: Callable[[Batch], Tensors]) -> Tensors:
    """The mean of a function of batches, each weighted by its number of images."""
    total = sum(len(labels) for _, labels in batches)
    sums: list[Tensor] = []
    for batch in batches:
        share = len(batch[1]) / total
        values = [share * value.detach() for value in function(batch)]
        sums = values if not sums else [a.add_(b) for a, b in zip(sums, values, strict=True)]
    return tuple(sums)


def gradients(
    model: nn.Module,
    weights: Sequence[Tensor],
    batch: Batch,
    temperature: float = 1.0,
    create_graph: bool = False,
) -> Tensors:
    """Gradients of the batch's mean cross-entropy, of logits / temperature."""
    images, labels = batch
    loss = nn.functional.cross_entropy(model(images) / temperature, labels)
    return torch.autograd.grad(loss, weights, create_graph=create_graph)


def hessian_products(
    model: nn.Module,
    weights: Sequence[Tensor],
    batch: Batch,
    vectors: Iterable[Tensor],
    temperature: float,
) -> Tensors:
    """The batch's Hessian times a vector, by differentiating their product with the gradient."""
    first = gradients(model, weights, batch, temperature, create_graph=True)
    return _product(first, vectors, weights)


def hessian_gradient(
    model: nn.Module, weights: Sequence[Tensor], batch: Batch, temperature: float
) -> Tensors:
    """The batch's Hessian times its own gradient; one forward pass serves both."""
    first = gradients(model, weights, batch, temperature, create_graph=True)
    return _product(first, [gradient.detach() for gradient in first], weights)


def _product(first: Tensors, vectors: Iterable[Tensor], weights: Sequence[Tensor]) -> Tensors:
    inner = sum((g * v).sum() for g, v in zip(first, vectors, strict=True))
    return torch.autograd.grad(inner, weights)
