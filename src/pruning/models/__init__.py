"""Networks: one family per file. Build them through :func:`pruning.models.build.build`."""
