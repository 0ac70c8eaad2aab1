"""Networks: one family per file. Build them through :func:`pruning.models.build`."""

from pruning.models.build import NetworkConfig, build, prunable_names

__all__ = ["NetworkConfig", "build", "prunable_names"]
