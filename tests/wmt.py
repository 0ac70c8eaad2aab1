"""Tests that need what the extra `wmt` installs are left out where it is not."""

import importlib.util

import pytest


def _lacks(package):
    try:
        return importlib.util.find_spec(package) is None or __import__(package) is None
    except ImportError:
        return True


needs_wmt = pytest.mark.skipif(
    _lacks("sacremoses") or _lacks("subword_nmt"),
    reason="sacremoses and subword-nmt are not installed: pip install '.[wmt]'",
)
