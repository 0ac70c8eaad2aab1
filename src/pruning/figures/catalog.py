"""Every figure by name: which function draws it, with which settings, from which studies.

To add a figure, write ``draw(tidy, context) -> Drawn`` and add its line here. Imports nothing that
draws, as the workflow reads this each time it starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pruning.errors import unknown
from pruning.study import STRUCTURED, Study

# A new line changes no other figure; the line a figure uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

REWINDING = "Comparing rewinding and fine-tuning"


@dataclass(frozen=True)
class Entry:
    """A figure.

    Attributes:
        draw: ``module:function``.
        category: of the report.
        caption: of the report, one paragraph.
        needs: whether a study has what it shows.
        settings: what the function is told.
        tables: what it draws from, see :mod:`pruning.analysis.tables`.
    """

    draw: str
    category: str
    caption: str
    needs: Callable[[Study], bool]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = ("rewinding",)


def _has(modes: tuple[str, ...] = ("",), methods: tuple[str, ...] = ()) -> Callable[[Study], bool]:
    """Whether a study runs one of these methods in a mode whose name begins like one of these."""

    def needs(study: Study) -> bool:
        found = study.rewinding.modes if study.rewinding else {}
        return any(
            name.startswith(modes) and (not methods or not mode.times.keys().isdisjoint(methods))
            for name, mode in found.items()
        )

    return needs


_COMPRESSION = "pruning.figures.rewinding:accuracy_vs_compression"
_TIME = "pruning.figures.rewinding:accuracy_vs_retrain_time"
_CORE = ("lr_rewind", "weight_rewind", "fine_tune")
_POINTS = (
    "Change of the test score against the mean of the dense networks, by compression ratio "
    "(1 / density). Points are medians over replicates, bars run from the minimum to the maximum, "
    "the grey band is the spread of the dense networks. "
)
_BEST = "For every point the retrain time with the best median validation score is taken."
_PAPER = " Methods and terms are those of Renda, Frankle and Carbin (ICLR 2020)."

FIGURES: dict[str, Entry] = {
    "rewind_vs_finetune": Entry(
        _COMPRESSION, REWINDING, _POINTS + _BEST + _PAPER, _has(), {"rule": "best_validated"}
    ),
    "rewind_vs_finetune_core": Entry(
        _COMPRESSION,
        REWINDING,
        _POINTS + _BEST + _PAPER,
        _has(methods=_CORE),
        {"rule": "best_validated", "methods": _CORE},
    ),
    "rewind_vs_finetune_iterative": Entry(
        _COMPRESSION,
        REWINDING,
        _POINTS + _BEST + _PAPER,
        _has(("iterative",), _CORE),
        {"rule": "best_validated", "modes": ["iterative"], "methods": _CORE, "literature": True},
    ),
    "rewind_vs_finetune_one_shot": Entry(
        _COMPRESSION,
        REWINDING,
        _POINTS + _BEST + _PAPER,
        _has(("one_shot",)),
        {"rule": "best_validated", "modes": ["one_shot"]},
    ),
    "rewind_vs_finetune_structured": Entry(
        _COMPRESSION,
        REWINDING,
        _POINTS + _BEST + " Whole filters are pruned; the density also counts the inputs that the "
        "next convolution loses." + _PAPER,
        _has((STRUCTURED,)),
        {"rule": "best_validated", "modes": [STRUCTURED], "literature": True},
    ),
    "algorithm_vs_literature": Entry(
        _COMPRESSION,
        REWINDING,
        _POINTS + "Learning-rate rewinding for the full original training time and nothing tuned, "
        "beside published results of other methods." + _PAPER,
        _has(("iterative",), ("lr_rewind",)),
        {
            "rule": "single_rule",
            "modes": ["iterative"],
            "methods": ["lr_rewind"],
            "literature": True,
        },
    ),
    "fixed_retrain_time": Entry(
        _COMPRESSION,
        REWINDING,
        _POINTS + "One retrain time per method, chosen in advance: T for learning-rate rewinding "
        "and fine-tuning, the longest one up to 0.9 T for weight rewinding." + _PAPER,
        _has(methods=_CORE),
        {"rule": "single_rule", "methods": _CORE, "literature": True},
    ),
    "accuracy_vs_retrain_time": Entry(
        _TIME,
        REWINDING,
        "Change of the test score against the mean of the dense networks, by retrain time, one "
        "panel per density. Points are medians over replicates, bars run from the minimum to the "
        "maximum. The shaded band is the rewinding safe zone, 0.25 T to 0.9 T." + _PAPER,
        _has(),
    ),
    "accuracy_vs_retrain_time_core": Entry(
        _TIME,
        REWINDING,
        "As accuracy_vs_retrain_time, of the three main methods." + _PAPER,
        _has(methods=_CORE),
        {"methods": _CORE},
    ),
    "speedup": Entry(
        "pruning.figures.rewinding:speedup",
        REWINDING,
        "Theoretical speed-up by compression ratio: multiply-accumulates of the dense network over "
        "those of the pruned one, masked weights skipped; medians with minimum and maximum over "
        "replicates. Below, the cost of the fine-tuned network over that of each method's. "
        + _BEST
        + _PAPER,
        _has(("iterative",), _CORE),
        {"methods": _CORE, "modes": ["iterative"]},
    ),
}


def entry(name: str) -> Entry:
    """The figure of this name.

    Raises:
        PruningError: there is none; the message lists those there are.
    """
    if name not in FIGURES:
        raise unknown("figure", name, sorted(FIGURES))
    return FIGURES[name]


def figures_of(study: Study) -> list[str]:
    """Names of all figures that a study has."""
    return [name for name, figure in FIGURES.items() if figure.needs(study)]
