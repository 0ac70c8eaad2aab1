"""Pruning at initialization, and later (Frankle et al. 2021)."""
