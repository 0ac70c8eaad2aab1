"""Finding out what happens when neural networks are pruned.

The names below are the library: what a notebook needs for dense -> prune -> retrain. They are
imported when first used, so that ``import pruning`` costs nothing and a workflow that only reads
studies never imports torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Batching": "pruning.data.batching",
    "GSM": "pruning.systems.gsm.method",
    "NetworkConfig": "pruning.models.build",
    "OptimizerConfig": "pruning.training.optimizers",
    "PruningError": "pruning.errors",
    "RULES": "pruning.systems.rewinding.rules",
    "Recipe": "pruning.training.recipe",
    "State": "pruning.training.state",
    "StepDecay": "pruning.training.schedules",
    "Task": "pruning.training.task",
    "density": "pruning.masks.mask",
    "evaluate": "pruning.library",
    "load_data": "pruning.library",
    "load_masks": "pruning.training.checkpoint",
    "load_state": "pruning.training.checkpoint",
    "prune": "pruning.masks.weights",
    "retrain": "pruning.systems.rewinding.method",
    "save_state": "pruning.training.checkpoint",
    "select": "pruning.masks.mask",
    "train_dense": "pruning.training.dense",
    "train_pruned": "pruning.training.pruned",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pruning' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
