"""Published pruning systems: a wing each, with the same rooms in all."""
