"""Which network, as plain values: no torch, so that a study is checked fast."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NetworkConfig:
    """A network by name.

    Attributes:
        name: a key of :data:`pruning.registry.NETWORKS`.
        initialization: a key of :data:`pruning.registry.INITIALIZATIONS`.
        options: what the network's function takes besides shape and classes.
    """

    name: str
    initialization: str = "kaiming_normal"
    options: dict[str, Any] = field(default_factory=dict)
