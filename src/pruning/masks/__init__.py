"""Masks, how scores become masks, and what a mask leaves of a network."""
