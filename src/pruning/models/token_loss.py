"""Cross-entropy over the pieces of target sentences, whose logits at once may be gigabytes."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Logits that are held at a time; 2,000 positions of GNMT's 32,316 pieces. A batch that has more is
# taken in parts, whose logits are computed again in the backward pass.
MOST_LOGITS = 2**26


def summed_loss(
    module: Any,
    features: Tensor,
    wanted: Tensor,
    lengths: Tensor,
    *,
    vocabulary: int,
    smoothing: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """The summed loss of all pieces that are no padding, in nats; a float32 scalar, or wider.

    With smoothing s the target of each has probability 1 - s + s/V, and every other piece s/V.

    Args:
        module: whose ``project`` makes logits (N, V) of features (N, H).
        features: (B, T, H).
        wanted: pieces (B, T).
        lengths: how many of a row are no padding, (B,), on the CPU.
        vocabulary: V.
        smoothing: of labels.
        temperature: what logits are divided by.
    """
    features, wanted = real(features, wanted, lengths)

    def part(features: Tensor, wanted: Tensor) -> Tensor:
        logits = module.project(features)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return nn.functional.cross_entropy(
            logits / temperature if temperature != 1 else logits,
            wanted,
            reduction="sum",
            label_smoothing=smoothing,
        )

    rows = max(1, MOST_LOGITS // vocabulary)
    parts = zip(features.split(rows), wanted.split(rows), strict=True)
    if len(wanted) > rows and torch.is_grad_enabled():
        again = partial(checkpoint, part, use_reentrant=False, preserve_rng_state=False)
        return torch.stack([again(*given) for given in parts]).sum()
    return torch.stack([part(*given) for given in parts]).sum()


def real(features: Tensor, wanted: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, H) and pieces (N,) of the positions that are no padding."""
    flat, pieces = features.flatten(0, 1), wanted.flatten()
    steps = wanted.shape[1]
    if bool((lengths == steps).all()):
        return flat, pieces
    places = (torch.arange(steps) < lengths[:, None]).flatten().nonzero().squeeze(1)
    places = places.to(flat.device, non_blocking=True)
    return flat[places], pieces[places]
