"""Pruning channels while a network trains from scratch (Lym et al. 2019)."""
