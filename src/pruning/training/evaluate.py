"""Accuracy and loss over a whole split."""

from collections.abc import Mapping

import torch
from torch import nn

from pruning.data.batches import Normalizer
from pruning.data.splits import Split, Splits

BATCH = 1000


@torch.inference_mode()
def evaluate_module(module: nn.Module, split: Split, normalize: Normalizer) -> dict[str, float]:
    """Accuracy (fraction) and mean cross-entropy (nats), batch norm in evaluation mode.

    Exact over all images of the split, whatever its size; NaN where it has none.
    """
    was_training = module.training
    module.eval()
    correct, loss = 0, 0.0
    for start in range(0, len(split), BATCH):
        labels = split.labels[start : start + BATCH]
        logits = module(normalize(split.images[start : start + BATCH]))
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
    module.train(was_training)
    count = len(split)
    if not count:
        return {"accuracy": float("nan"), "loss": float("nan")}
    return {"accuracy": correct / count, "loss": loss / count}


def evaluate_splits(
    module: nn.Module, data: Splits, normalize: Normalizer
) -> Mapping[str, dict[str, float]]:
    """:func:`evaluate_module` for the validation and the test split."""
    return {
        split: evaluate_module(module, getattr(data, split), normalize)
        for split in ("validation", "test")
    }
