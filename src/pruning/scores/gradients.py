"""Sums over scoring batches that SNIP and GraSP share.

Both run in double precision, as the rounding of float32 reaches the ranking: through the batch
norms of ResNet-20 it exchanges up to 155 of the 27,090 weights that a mask keeps, and which ones
depends on the batch's memory layout, the machine and the version of torch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pruning.errors import PruningError, unknown
from pruning.training.trainable import explained, refuse_untrained

if TYPE_CHECKING:
    from pruning.training.task import Task

REDUCTIONS = ("per_batch", "summed")

Tensors = tuple[Tensor, ...]


def check_reduction(reduction: str) -> None:
    """Refuse what is no way to put batches together.

    ``per_batch``: each batch has a score of its own, and their mean over examples counts (Frankle
    et al. 2021, authors' code). How these are split is then part of the method. ``summed``:
    gradients are averaged over all examples first; without batch statistics that does not depend
    on the split. Tanaka et al. (2020) put gradients together first too, but their code adds the
    mean gradients of batches whatever their sizes, so that an example of a short batch counts for
    more; with batches of one size the two have the same ranking.

    Raises:
        PruningError: neither of the two.
    """
    if reduction not in REDUCTIONS:
        raise unknown("reduction over scoring batches", reduction, REDUCTIONS)


def mean_over_examples(
    task: "Task", batches: Sequence[Any], function: Callable[[Any], Tensors]
) -> Tensors:
    """The mean of a function of batches, each weighted by its number of examples."""
    total = sum(task.batch_examples(batch) for batch in batches)
    sums: list[Tensor] = []
    for batch in batches:
        share = task.batch_examples(batch) / total
        values = [share * value.detach() for value in function(batch)]
        sums = values if not sums else [a.add_(b) for a, b in zip(sums, values, strict=True)]
    return tuple(sums)


def gradients(
    task: "Task",
    model: nn.Module,
    weights: Sequence[Tensor],
    batch: Any,
    temperature: float = 1.0,
    create_graph: bool = False,
) -> Tensors:
    """Gradients of the batch's loss, of logits / temperature, in the precision of the network."""
    given = _as_exact(batch, next(model.parameters()).dtype)
    with explained("Score on more examples, or in larger batches, or with batch_norm: eval."):
        loss = task.scoring_loss(model, given, temperature)
    return gradients_of(loss, model, weights, create_graph)


def gradients_of(
    total: Tensor, model: nn.Module, weights: Sequence[Tensor], create_graph: bool = False
) -> Tensors:
    """The gradients of a scalar.

    Raises:
        PruningError: it does not depend on some weight; the message names it.
    """
    found = torch.autograd.grad(total, weights, create_graph=create_graph, allow_unused=True)
    if any(gradient is None for gradient in found):
        names = {id(p): name for name, p in model.named_parameters()}
        refuse_untrained(names[id(w)] for w, g in zip(weights, found, strict=True) if g is None)
    return found


def _as_exact(given: Any, dtype: torch.dtype) -> Any:
    """A batch whose real numbers have this precision, in memory as they are counted.

    So the same examples score the same in whatever layout they come.
    """
    if isinstance(given, Tensor):
        return (given.to(dtype) if given.is_floating_point() else given).contiguous()
    if isinstance(given, Mapping):
        return {key: _as_exact(part, dtype) for key, part in given.items()}
    if isinstance(given, tuple | list):
        parts = [_as_exact(part, dtype) for part in given]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)
    return given


def hessian_products(
    task: "Task",
    model: nn.Module,
    weights: Sequence[Tensor],
    batch: Any,
    vectors: Iterable[Tensor],
    temperature: float,
) -> Tensors:
    """The batch's Hessian times a vector, by differentiating their product with the gradient."""
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        first = gradients(task, model, weights, batch, temperature, create_graph=True)
        return _product(first, vectors, weights)


def hessian_gradient(
    task: "Task", model: nn.Module, weights: Sequence[Tensor], batch: Any, temperature: float
) -> Tensors:
    """The batch's Hessian times its own gradient; one forward pass serves both."""
    with sdpa_kernel(SDPBackend.MATH):
        first = gradients(task, model, weights, batch, temperature, create_graph=True)
        return _product(first, [gradient.detach() for gradient in first], weights)


def _product(first: Tensors, vectors: Iterable[Tensor], weights: Sequence[Tensor]) -> Tensors:
    inner = sum((g * v).sum() for g, v in zip(first, vectors, strict=True))
    try:
        found = torch.autograd.grad(inner, weights, allow_unused=True)
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        raise PruningError(
            f"This score needs second derivatives, which torch does not have of some layer here "
            f"({str(error).splitlines()[0]}). Take another score, or exempt such layers and write "
            "them in other operations."
        ) from None
    # What the gradient depends on linearly, or not at all, has none.
    return tuple(
        torch.zeros_like(weight) if product is None else product
        for weight, product in zip(weights, found, strict=True)
    )
