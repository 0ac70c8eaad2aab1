"""Normalized additive attention (Bahdanau et al. 2015; weight norm of Salimans & Kingma 2016)."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Numbers of one (sentences, positions, width) array above which it is computed again in the
# backward pass instead of kept: GNMT's decoder makes one of 100 million per step.
RECOMPUTED_FROM = 2**24


class Attention(nn.Module):
    """score_j = sum_k g v_k / ||v|| tanh((W_m M_j)_k + (W_q h)_k + b_k) (reference, section 2.2).

    Args:
        width: H of queries and memories.
        scale: g at the start; sqrt(1/H) without it.
    """

    def __init__(self, width: int, scale: float | None = None) -> None:
        super().__init__()
        self.memory = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width)  # its bias is b
        self.v = nn.Linear(width, 1, bias=False)
        self.g = nn.Parameter(torch.tensor(width**-0.5 if scale is None else float(scale)))

    def divides_by(self) -> list[str]:
        """Names of tensors that something is divided by the norm of."""
        return ["v.weight"]

    def keys(self, memory: Tensor) -> Tensor:
        """W_m M, (B, S, H): the same for all queries."""
        return self.memory(memory)

    def forward(
        self, queries: Tensor, keys: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What each query attends to.

        Args:
            queries: (B, T, H).
            keys: :meth:`keys` of the memory.
            memory: (B, S, H), zero where there is padding.
            padding: bool (B, S), true there; None for none.

        Returns:
            Contexts (B, T, H) and weights (B, T, S), float32, 0 where there is padding.
        """
        unit = self.g * (self.v.weight / self.v.weight.norm())
        given = self.query(queries), keys, unit
        large = torch.is_grad_enabled() and keys.numel() * queries.shape[1] > RECOMPUTED_FROM
        scores = (
            checkpoint(_scores, *given, use_reentrant=False, preserve_rng_state=False)
            if large
            else _scores(*given)
        )
        if padding is not None:
            scores = scores.masked_fill(padding[:, None], -torch.inf)
        weights = scores.softmax(2)
        return weights.to(memory.dtype) @ memory, weights


def _scores(queries: Tensor, keys: Tensor, unit: Tensor) -> Tensor:
    """(B, T, S), in float32 or what is wider."""
    energies = (queries[:, :, None] + keys[:, None]).tanh()
    scores = nn.functional.linear(energies, unit).squeeze(3)
    return scores if scores.dtype == torch.float64 else scores.float()
