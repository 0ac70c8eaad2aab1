"""Lym et al. (SC 2019): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from pruning.systems.system import Claims, Figure

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

FIGURES: dict[str, Figure] = {}

CLAIMS: dict[str, Claims] = {}
