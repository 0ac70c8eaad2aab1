"""Stages: files to files."""
