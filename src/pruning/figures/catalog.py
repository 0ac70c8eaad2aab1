"""Every figure by name, of all systems."""

from pruning.errors import look_up
from pruning.study.study import Study
from pruning.systems import joined
from pruning.systems.system import Figure

# A new figure changes no other; what is used of one is among the parameters of its rule.
CODE_VERSION_SKIP = "a table of names"


def entry(name: str) -> Figure:
    """The figure of this name.

    Raises:
        PruningError: there is none; the message lists those there are.
    """
    return look_up("figure", name, joined("figures"))


def figures_of(study: Study) -> list[str]:
    """Names of all figures that a study has."""
    return [name for name, figure in joined("figures").items() if figure.needs(study)]
