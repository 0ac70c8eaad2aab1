"""Scores: a number per prunable weight, larger = keep. One function per file.

A score is ``score(context: ScoreContext) -> dict[name, Tensor]``; it is listed in
:data:`pruning.registry.SCORES` and never changes what it is given.
"""

from pruning.scores.context import ScoreContext

__all__ = ["ScoreContext"]
