"""Trained networks outside this project: rebuilt, exported, measured."""
