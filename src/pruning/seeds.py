"""Every random draw comes from a generator derived from (seed, purpose), never from a global one.

Deriving instead of saving means that there is no sampler state to lose: the order of epoch 7 is a
function of (seed, stream, 7), however the training got there.
"""

import hashlib
import json

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that differs for every (seed, purpose), independent of Python's hash seed."""
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose. CPU, so that a GPU run draws the same numbers."""
    return torch.Generator().manual_seed(derive(seed, *purpose))
