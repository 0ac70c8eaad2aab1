"""Scores over whole splits."""

from collections.abc import Mapping

import torch
from torch import nn

from pruning.training.arithmetic import forward_pass
from pruning.training.task import Task

SPLITS = ("validation", "test")  # what scores are written down of


@torch.inference_mode()
def evaluate_split(module: nn.Module, task: Task, split: str) -> dict[str, float]:
    """The task's scores of a network on ``train``, ``validation`` or ``test``.

    The network is in evaluation mode meanwhile; NaN where the split is empty.
    """
    was_training = module.training
    module.eval()
    with forward_pass(task.recipe.precision, task.device):
        scores = task.evaluate(module, split)
    module.train(was_training)
    return scores


def evaluate_splits(module: nn.Module, task: Task) -> Mapping[str, dict[str, float]]:
    """:func:`evaluate_split` for the validation and the test split."""
    return {split: evaluate_split(module, task, split) for split in SPLITS}
