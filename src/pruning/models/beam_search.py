"""Translations by beam search, as Renda et al.'s GNMT is decoded (reference, section 2.6)."""

from typing import Any

import torch
from torch import Tensor

from pruning.data.pieces import BEGIN, END


def beam_search(
    module: Any,
    source: Tensor,
    lengths: Tensor,
    *,
    beam: int = 5,
    most_steps: int = 150,
    length_penalty: float = 0.6,
    coverage_penalty: float = 0.1,
) -> list[list[int]]:
    """The best translation of each sentence, without its end.

    A hypothesis that has ended goes on with nothing but its end, at no cost. Until all of a
    sentence's hypotheses have, they are ranked by log P alone, and so is what has not after the
    most steps. Then the best has the highest log P / ((5 + length) / 6)^a + b * sum_j log min(sum_t
    a_tj, 1): length counts the end, and what was not attended to at all counts 0 (Wu et al. 2016,
    equation 14, with the reference's constants).

    Args:
        module: with ``encode`` and ``step``, as :class:`pruning.models.gnmt.Gnmt` has them, in
            evaluation mode.
        source, lengths: as of its ``forward``.
        beam: hypotheses at a time; 1 takes the likeliest piece in every step.
        most_steps: pieces of the longest translation, its end counted.
        length_penalty, coverage_penalty: a and b.
    """
    hypotheses = _Hypotheses(module, source, lengths, beam)
    found: list[list[int]] = [[] for _ in range(len(source))]
    for step in range(1, most_steps + 1):
        hypotheses.extend(step)
        ended = hypotheses.ended.all(1)
        if bool(ended.any()):
            scores = hypotheses.normalized(length_penalty, coverage_penalty)
            hypotheses.take(found, ended, scores)
            hypotheses.keep(~ended)
            if not len(hypotheses.numbers):
                return found
    rest = torch.ones(len(hypotheses.numbers), dtype=torch.bool, device=source.device)
    hypotheses.take(found, rest, hypotheses.log_p)
    return found


class _Hypotheses:
    """The hypotheses (B, K) of the sentences that are still looked at.

    Attributes:
        numbers: which sentences these are, (B,).
        pieces: (B, K, steps).
        log_p, lengths, ended: (B, K).
        attended: to each place of the source, summed over steps, (B, K, S).
        at: where the decoder is, a row for each hypothesis.
    """

    def __init__(self, module: Any, source: Tensor, lengths: Tensor, beam: int) -> None:
        count, device = len(source), source.device
        self.module, self.beam = module, beam
        self.numbers = torch.arange(count, device=device)
        self.at = module.encode(source, lengths).rows(self.numbers.repeat_interleave(beam))
        self.pieces = torch.empty(count, beam, 0, dtype=torch.int64, device=device)
        self.last = torch.full((count * beam,), BEGIN, device=device)
        # All begin alike, so at first there is one.
        self.log_p = torch.full((count, beam), -torch.inf, device=device)
        self.log_p[:, 0] = 0
        self.lengths = torch.zeros(count, beam, dtype=torch.int64, device=device)
        self.ended = torch.zeros(count, beam, dtype=torch.bool, device=device)
        self.attended = torch.zeros(count, beam, source.shape[1], device=device)

    def extend(self, step: int) -> None:
        """Give each sentence the likeliest of all hypotheses that are longer by one piece."""
        logits, attention, at = self.module.step(self.last, self.at)
        count = len(self.numbers)
        made = logits.float().log_softmax(1).view(count, self.beam, -1)
        size = made.shape[2]
        made = made.masked_fill(self.ended[:, :, None], -torch.inf)
        made[:, :, END] = made[:, :, END].masked_fill(self.ended, 0.0)
        totals = (self.log_p[:, :, None] + made).flatten(1)
        self.log_p, best = totals.topk(self.beam, dim=1)
        parents, pieces = best // size, best % size
        before = self.ended.gather(1, parents)
        read = attention.float().view(count, self.beam, -1).masked_fill(self.ended[:, :, None], 0.0)
        self.attended = _gather(self.attended + read, parents)
        self.pieces = torch.cat([_gather(self.pieces, parents), pieces[:, :, None]], 2)
        self.lengths = torch.where(before, self.lengths.gather(1, parents), step)
        self.ended = before | (pieces == END)
        self.last = pieces.flatten()
        first = torch.arange(count, device=parents.device)[:, None] * self.beam
        self.at = at.rows((first + parents).flatten())

    def normalized(self, length_penalty: float, coverage_penalty: float) -> Tensor:
        """Scores (B, K) of hypotheses that have ended."""
        lengths = ((5 + self.lengths) / 6) ** length_penalty
        seen = torch.where(self.attended > 0, self.attended.clamp(max=1), 1.0)
        return self.log_p / lengths + coverage_penalty * seen.log().sum(2)

    def take(self, found: list[list[int]], which: Tensor, scores: Tensor) -> None:
        """Write down the best hypothesis of some sentences."""
        best = scores[which].argmax(1)
        rows = self.pieces[which].gather(1, best[:, None, None].expand(-1, 1, self.pieces.shape[2]))
        for number, pieces in zip(
            self.numbers[which].tolist(), rows.squeeze(1).tolist(), strict=True
        ):
            found[number] = pieces[: pieces.index(END)] if END in pieces else pieces

    def keep(self, which: Tensor) -> None:
        """Go on with some sentences alone."""
        for name in ("numbers", "pieces", "log_p", "lengths", "ended", "attended"):
            setattr(self, name, getattr(self, name)[which])
        rows = which.repeat_interleave(self.beam).nonzero().squeeze(1)
        self.last, self.at = self.last[rows], self.at.rows(rows)


def _gather(values: Tensor, parents: Tensor) -> Tensor:
    """Of (B, K, N) the hypotheses (B, K)."""
    return values.gather(1, parents[:, :, None].expand(-1, -1, values.shape[2]))
