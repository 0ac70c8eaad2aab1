"""GraSP: keep the weights that carry the gradient flow (Wang, Zhang, Grosse, ICLR 2020)."""

from typing import Literal

from torch import Tensor

from pruning.option_types import Positive
from pruning.scores.context import ScoreContext
from pruning.scores.gradients import (
    check_reduction,
    gradients,
    hessian_gradient,
    hessian_products,
    mean_over_examples,
)

TEMPERATURE = 200.0  # divides the logits, in the authors' and in Frankle et al.'s code


def grasp(
    context: ScoreContext,
    batch_norm: Literal["train", "eval"] = "train",
    temperature: Positive = TEMPERATURE,
    reduction: Literal["per_batch", "summed"] = "per_batch",
) -> dict[str, Tensor]:
    """w * (H g), with H and g of the cross-entropy of logits / temperature; in double precision.

    The papers' score is its negative, of which the *largest* are removed; here as everywhere larger
    means keep. About half of all scores are negative. The last layer is not drawn anew for scoring.

    Args:
        context: the network and the scoring batches.
        batch_norm: ``train`` as in both papers, or ``eval``.
        temperature: of the softmax; it changes which weights are kept.
        reduction: see :func:`pruning.scores.gradients.check_reduction`.

    Raises:
        PruningError: no scoring data, or an unknown option.
    """
    return _scores(context, "grasp", batch_norm, temperature, reduction)


def grasp_abs(
    context: ScoreContext,
    batch_norm: Literal["train", "eval"] = "train",
    temperature: Positive = TEMPERATURE,
    reduction: Literal["per_batch", "summed"] = "per_batch",
) -> dict[str, Tensor]:
    """|w * (H g)|: the magnitude of GraSP's score, without its sign (Frankle et al. 2021).

    Over several batches it is the magnitude of their signed mean, as in the authors' code: unlike
    SNIP, whose magnitudes are taken within each batch.

    Arguments and errors as of :func:`grasp`.
    """
    signed = _scores(context, "grasp_abs", batch_norm, temperature, reduction)
    return {name: value.abs() for name, value in signed.items()}


def _scores(
    context: ScoreContext,
    score: str,
    batch_norm: str,
    temperature: float,
    reduction: str,
) -> dict[str, Tensor]:
    check_reduction(reduction)
    task, batches = context.task, context.required_batches(score)
    with context.exact_model(batch_norm) as model:  # see pruning.scores.gradients
        named = dict(model.named_parameters())
        weights = [named[name] for name in context.masks]

        def product(flow: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(w * h for w, h in zip(weights, flow, strict=True))

        if reduction == "summed":
            mean = mean_over_examples(
                task, batches, lambda batch: gradients(task, model, weights, batch, temperature)
            )
            flow = mean_over_examples(
                task,
                batches,
                lambda batch: hessian_products(task, model, weights, batch, mean, temperature),
            )
            values = product(flow)
        else:
            values = mean_over_examples(
                task,
                batches,
                lambda batch: product(hessian_gradient(task, model, weights, batch, temperature)),
            )
    return {name: v.detach() for name, v in zip(context.masks, values, strict=True)}
