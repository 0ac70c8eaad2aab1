"""What a figure function is given besides the table, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pruning.analysis import FOLDER
from pruning.errors import PruningError
from pruning.figures.pages import Pages


def literal(text: str) -> str:
    """A text that figures show as it is typed: a dollar sign begins no formula of matplotlib's.

    Every text that is not written in this package goes through here before it is drawn, once.
    """
    return text.replace("$", r"\$")


@dataclass(frozen=True)
class Context:
    """How to draw.

    Attributes:
        titles: of the studies, by name.
        options: per study, its file's ``figure`` section (``ylim``, ``published``, ...) and what
            the figure asks of a study.
        settings: of this figure, from :mod:`pruning.figures.catalog`.
        resources: folder of published numbers.
        tables: what the figure draws from besides its first table, by name.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    resources: Path | str = FOLDER
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def title(self, study: str) -> str:
        """How figures call a study, for matplotlib; see :func:`literal`."""
        return literal(self.titles.get(study, study))

    def option(self, study: str, name: str, default: Any = None) -> Any:
        """One option of a study's ``figure`` section."""
        return self.options.get(study, {}).get(name, default)


def nothing(context: Context, what: str) -> PruningError:
    """The error for studies that have not what a figure shows."""
    return PruningError(f"{', '.join(context.titles)}: {what}")


@dataclass(frozen=True)
class Drawn:
    """A figure, and the numbers it shows: all of them and nothing else.

    Attributes:
        pages: of :mod:`pruning.figures.pages`; a figure of matplotlib's is made a page.
        table: the numbers.
    """

    pages: Pages
    table: pd.DataFrame

    def __post_init__(self) -> None:
        if isinstance(self.pages, Figure):
            object.__setattr__(self, "pages", Pages((self.pages,)))

    @property
    def figure(self) -> Figure:
        """The page of a figure that has one."""
        (page,) = self.pages.figures
        return page
