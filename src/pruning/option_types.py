"""Annotations that say which values an option takes, for functions that a study gives options to.

``def mine(groups, momentum: BelowOne = 0.0)``: a study whose momentum is 1.5 is refused when it is
read, see :mod:`pruning.options`, which knows them by their names here. No torch.
"""

from typing import Annotated

BelowOne = Annotated[float, "at least 0 and less than 1"]
Positive = Annotated[float, "greater than 0"]
Count = Annotated[int, "a whole number of at least 1"]
