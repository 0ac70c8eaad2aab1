"""What each paper adds to pruning and training; one module per paper."""
