"""Comparing rewinding and fine-tuning (Renda et al. 2020)."""
