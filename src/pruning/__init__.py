"""Finding out what happens when neural networks are pruned.

The names below are the library: what a notebook needs for dense -> prune -> retrain. They are
imported when first used, so that ``import pruning`` costs nothing and a workflow that only reads
studies never imports torch.
"""

import importlib
import importlib.util
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Batching": "pruning.data.batching",
    "CosineDecay": "pruning.training.schedules",
    "NetworkConfig": "pruning.models.config",
    "OptimizerConfig": "pruning.training.recipe",
    "PruningError": "pruning.errors",
    "Recipe": "pruning.training.recipe",
    "State": "pruning.training.state",
    "StepDecay": "pruning.training.schedules",
    "Task": "pruning.training.classification:Classification",
    "data_from_tensors": "pruning.data.from_tensors",
    "density": "pruning.masks.mask",
    "evaluate": "pruning.library",
    "load_data": "pruning.library",
    "load_masks": "pruning.training.checkpoint",
    "load_state": "pruning.training.checkpoint",
    "network_of": "pruning.training.network",
    "prune": "pruning.masks.weights",
    "save_masks": "pruning.training.checkpoint",
    "save_state": "pruning.training.checkpoint",
    "select": "pruning.masks.mask",
    "SentenceBatching": "pruning.data.sentence_batching",
    "Pieces": "pruning.training.schedules",
    "Translation": "pruning.training.translation",
    "state_of": "pruning.training.state:capture",
    "train_dense": "pruning.training.dense",
    "train_pruned": "pruning.training.pruned",
}


def _public() -> dict[str, str]:
    from pruning.systems import joined

    return _PUBLIC | joined("public")


def __getattr__(name: str) -> Any:
    # Python asks here for modules too, before it imports them; systems are read when all are there.
    is_module = importlib.util.find_spec(f"{__name__}.{name}") is not None
    public = _PUBLIC if name in _PUBLIC or is_module else _public()
    if name == "__all__":
        return sorted(public)
    if name not in public:
        raise AttributeError(f"module 'pruning' has no attribute {name!r}")
    module, _, attribute = public[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted(_public())
