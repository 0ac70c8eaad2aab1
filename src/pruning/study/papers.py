"""Papers whose own results can be read and drawn as if they were studies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pruning import registry
from pruning.errors import look_up, unknown
from pruning.systems import joined

# A new entry changes no other; what a rule uses of one is among its parameters.
CODE_VERSION_SKIP = "a table of names"


@dataclass(frozen=True)
class Paper:
    """A paper's published results.

    Attributes:
        title: for pages.
        label: for legends.
        reader: ``module:function`` from a folder or address to a tidy table.
        titles: of its studies, by name, in the order of figures.
        figures: their names.
        options: per study, what a study file's ``figure`` section may say.
        claims: pages that are counted over it, by name, with the options of their evidence.
        files: in the source, where that is a folder whose content may change.
    """

    title: str
    label: str
    reader: str
    titles: Mapping[str, str]
    figures: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def papers() -> dict[str, Paper]:
    """The papers of all systems, by name."""
    return joined("papers")


def check_reference(reference: str, known: Mapping[str, Paper] | None = None) -> None:
    """Refuse a ``<paper>:<network>`` that was never published.

    Args:
        reference: to one network of a paper.
        known: the papers it may be of; all without it.

    Raises:
        PruningError: the paper or the network is unknown.
    """
    name, _, network = reference.partition(":")
    titles = look_up("paper", name, papers() if known is None else known).titles
    networks = [study.removeprefix(f"{name}_") for study in titles]
    if network not in networks:
        raise unknown(f"network of {name}", network, networks)


def paper(name: str) -> Paper:
    """The paper of this name.

    Raises:
        PruningError: there is none.
    """
    return look_up("paper", name, papers())


def checked_file(file: str, check: str) -> Callable[[str], str]:
    """An overlay: from a reference to the file of published numbers that has it.

    Args:
        file: in ``resources/published``, without its ending.
        check: ``module:function`` that refuses references to what was never published; imported
            when there is one, as it takes pandas, which few studies need before anything is drawn.
    """

    def overlay(reference: str) -> str:
        registry.load(check)(reference)
        return file

    return overlay
