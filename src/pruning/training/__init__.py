"""Recipes, schedules, state, the training loop and its files."""
