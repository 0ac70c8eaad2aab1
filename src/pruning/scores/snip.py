"""SNIP: keep the weights whose removal changes the loss most (Lee et al., ICLR 2019)."""

from typing import Literal

from torch import Tensor

from pruning.scores.context import ScoreContext
from pruning.scores.gradients import check_reduction, gradients, mean_over_examples


def snip(
    context: ScoreContext,
    batch_norm: Literal["train", "eval"] = "train",
    reduction: Literal["per_batch", "summed"] = "per_batch",
) -> dict[str, Tensor]:
    """|w * dL/dw|, which is |dL/dm| of a mask m at 1; in double precision.

    Args:
        context: the network and the scoring batches.
        batch_norm: ``train`` as in Frankle et al. (2021), or ``eval``.
        reduction: see :func:`pruning.scores.gradients.check_reduction`.

    Raises:
        PruningError: no scoring data, or an unknown option.
    """
    check_reduction(reduction)
    batches = context.required_batches("snip")
    with context.exact_model(batch_norm) as model:  # see pruning.scores.gradients
        named = dict(model.named_parameters())
        weights = [named[name] for name in context.masks]
        if reduction == "summed":
            mean = mean_over_examples(
                context.task, batches, lambda batch: gradients(context.task, model, weights, batch)
            )
            values = [(w * g).abs() for w, g in zip(weights, mean, strict=True)]
        else:
            values = mean_over_examples(
                context.task,
                batches,
                lambda batch: tuple(
                    (w * g).abs()
                    for w, g in zip(
                        weights, gradients(context.task, model, weights, batch), strict=True
                    )
                ),
            )
    return {name: v.detach() for name, v in zip(context.masks, values, strict=True)}
