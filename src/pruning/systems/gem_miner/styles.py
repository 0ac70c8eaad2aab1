"""How figures draw this wing's methods, in the order of legends."""

from pruning.figures.style import Style

STYLES: dict[str, Style] = {}
