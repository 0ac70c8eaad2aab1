"""Scores: a number per prunable weight, larger = keep. One family per file.

A score is ``score(context: ScoreContext, **options) -> dict[name, Tensor]``; it is listed in
:data:`pruning.registry.SCORES` and never changes what it is given. Outside the workflow:
``snip(ScoreContext(model, masks, Images(shape), batches))``.
"""

from pruning.scores.context import ScoreContext

__all__ = ["ScoreContext"]
