"""The generators that forward passes draw from (dropout): torch's global ones, and only here."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pruning.seeds import derive


@contextlib.contextmanager
def seeded(seed: int, stream: Sequence[str | int], device: torch.device) -> Iterator[None]:
    """Seed the global generators for one run; put them back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive(seed, *stream, "forward pass"))
        yield


def begin_epoch(seed: int, stream: Sequence[str | int], rank: int, step: int) -> None:
    """Seed them for one of several processes and the epoch that begins at a step.

    By the step too, or every epoch would draw the same.
    """
    torch.manual_seed(derive(seed, *stream, "forward pass", rank, step))


def states(device: torch.device) -> dict[str, Tensor]:
    """The generators now, uint8, by the kind of device."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore(given: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what :func:`states` gave, as far as it has anything for this device."""
    if "cpu" in given:
        torch.set_rng_state(given["cpu"])
    if "cuda" in given and device.type == "cuda":
        torch.cuda.set_rng_state(given["cuda"], device)
