"""Every figure by name: which function draws it, with which settings, from which studies.

To add a figure, write ``draw(tidy, context) -> Drawn`` and add its line here. Imports nothing that
draws, as the workflow reads this each time it starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pruning.errors import look_up
from pruning.study.papers import AT_INIT, GSM, REWINDING
from pruning.study.study import STRUCTURED, Study
from pruning.systems.at_init.rules import UNMODIFIED, is_faulty
from pruning.systems.at_init.section import Cell

# A new line changes no other figure; the line a figure uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"


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
        overlays: options of a study's ``figure`` section that lay published numbers over it.
    """

    draw: str
    category: str
    caption: str
    needs: Callable[[Study], bool]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = ("rewinding",)
    overlays: tuple[str, ...] = ("published",)


def _has(modes: tuple[str, ...] = ("",), methods: tuple[str, ...] = ()) -> Callable[[Study], bool]:
    """Whether a study runs one of these methods in a mode whose name begins like one of these."""

    def needs(study: Study) -> bool:
        found = study.rewinding.modes if study.rewinding else {}
        return any(
            name.startswith(modes) and (not methods or not mode.times.keys().isdisjoint(methods))
            for name, mode in found.items()
        )

    return needs


def _first_cells(study: Study, faulty: bool = False) -> list[Cell]:
    """Cells at the earliest epoch that their method is applied at, which is what figures show."""
    cells = study.at_init.cells if study.at_init else ()
    first: dict[str, float] = {}
    for cell in cells:
        first[cell.method] = min(cell.epoch, first.get(cell.method, cell.epoch))
    return [c for c in cells if c.epoch == first[c.method] and is_faulty(c.method) == faulty]


def _prunes(study: Study) -> bool:
    return any(cell.variant == UNMODIFIED for cell in _first_cells(study))


def _ablates(study: Study) -> bool:
    return any(cell.variant != UNMODIFIED for cell in _first_cells(study))


def _improves(study: Study) -> bool:
    found = {(cell.method, cell.variant) for cell in _first_cells(study)}
    return (
        {("grasp", UNMODIFIED), ("grasp_abs", UNMODIFIED)} <= found
        or {("synflow", UNMODIFIED), ("synflow", "shuffled")} <= found
    )  # fmt: skip


def _prunes_later(study: Study) -> bool:
    epochs: dict[tuple[str, int], set[float]] = {}
    for cell in study.at_init.cells if study.at_init else ():
        if cell.variant == UNMODIFIED and not is_faulty(cell.method):
            epochs.setdefault((cell.method, cell.level), set()).add(cell.epoch)
    return any(len(found) > 1 for found in epochs.values())


def _repeats_faults(study: Study) -> bool:
    shown = (UNMODIFIED, "inverted")
    return any(cell.variant in shown for cell in _first_cells(study, faulty=True))


def _has_gsm(study: Study) -> bool:
    return study.gsm is not None


def _varies_momentum(study: Study) -> bool:
    return any(
        "momentum" in options and options.get("reselect", True) for options in _gsm_options(study)
    )


def _freezes_selection(study: Study) -> bool:
    return any(not options.get("reselect", True) for options in _gsm_options(study))


def _prunes_single_layers(study: Study) -> bool:
    return study.gsm is not None and bool(study.gsm.sensitivity)


def _trains_gsm_tickets(study: Study) -> bool:
    return study.gsm is not None and bool(study.gsm.tickets)


def _gsm_options(study: Study) -> list[Mapping[str, Any]]:
    """What each ablation changes of the optimizer's options."""
    ablations = study.gsm.ablations if study.gsm else {}
    return [changes.get("options", {}) for changes in ablations.values()]


_COMPRESSION = "pruning.systems.rewinding.figures:accuracy_vs_compression"
_TIME = "pruning.systems.rewinding.figures:accuracy_vs_retrain_time"
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
        "pruning.systems.rewinding.figures:speedup",
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

_AT_INIT = "pruning.systems.at_init.figures.accuracy:"
_MASKS = "pruning.systems.at_init.figures.masks:"
_MEANS = (
    "Points are means over replicates, bars one standard deviation to each side; the dashed line "
    "and the grey band are the dense networks. Arrowheads at the lower edge are points below it."
)
_FRANKLE = " Methods and terms are those of Frankle, Dziugaite, Roy and Carbin (ICLR 2021)."
FIGURES |= {
    "at_init_accuracy": Entry(
        f"{_AT_INIT}accuracy_vs_sparsity",
        AT_INIT,
        "Test accuracy by sparsity of networks that were pruned once, before training. "
        + _MEANS
        + " Broken black and grey lines prune after training, which is what the others are "
        "measured by. Thin dashed lines are published." + _FRANKLE,
        _prunes,
        tables=("at_init",),
        overlays=("at_init_published",),
    ),
    "at_init_ablations": Entry(
        f"{_AT_INIT}ablations",
        AT_INIT,
        "What becomes of each method when its masks are shuffled within layers, its weights are "
        "drawn anew or its ranking is inverted. "
        + _MEANS
        + " Thin dashed lines and hollow arrowheads are published; in the COMP6258 reproduction "
        "SynFlow pruned nothing and the other methods ranked batch-norm scales too." + _FRANKLE,
        _ablates,
        tables=("at_init",),
        overlays=("at_init_published",),
    ),
    "at_init_improved": Entry(
        f"{_AT_INIT}improved",
        AT_INIT,
        "GraSP beside GraSP by absolute score, SynFlow beside shuffled SynFlow; magnitude and "
        "random pruning thin. " + _MEANS + _FRANKLE,
        _improves,
        tables=("at_init",),
        overlays=(),
    ),
    "at_init_layers": Entry(
        f"{_MASKS}layers",
        AT_INIT,
        "Share of its weights that each layer keeps, means over replicates. Open markers at the "
        "lower edge are layers that are empty in all of them." + _FRANKLE,
        _prunes,
        tables=("at_init_layers",),
        overlays=(),
    ),
    "at_init_neurons": Entry(
        f"{_MASKS}neurons",
        AT_INIT,
        "Share of output channels at least as sparse as x, means over replicates; dashed: masks "
        "shuffled within layers. What is left at 100 % are channels without any weight." + _FRANKLE,
        _prunes,
        tables=("at_init_channels",),
        overlays=(),
    ),
    "at_init_when": Entry(
        f"{_AT_INIT}when",
        AT_INIT,
        "Test accuracy by the epoch of the dense training whose weights were pruned, at one "
        "sparsity; the schedule begins anew from there. " + _MEANS + _FRANKLE,
        _prunes_later,
        tables=("at_init",),
        overlays=(),
    ),
    "at_init_effective": Entry(
        f"{_AT_INIT}effective",
        AT_INIT,
        "Kept weights on a path from input to output, in percent of those that were to be kept. "
        "Open markers: in at least one replicate a layer is empty." + _FRANKLE,
        _prunes,
        tables=("at_init",),
        overlays=(),
    ),
    "at_init_reproduction_errors": Entry(
        "pruning.systems.at_init.figures.errors:reproduction_errors",
        AT_INIT,
        "Two faults of a reproduction, repeated on purpose (dashed, open markers). (a) Batch-norm "
        "scales that remain where they are ranked with the kernels; accuracy with and without that "
        "fault of (b) inverted masks and (c) GraSP; SynFlow with and without masks: (d) weights "
        "really removed, (e) accuracy. " + _MEANS + _FRANKLE,
        _repeats_faults,
        tables=("at_init", "at_init_layers"),
        overlays=(),
    ),
}

_GSM = "pruning.systems.gsm.figures.accuracy:"
_GSM_CURVES = "pruning.systems.gsm.figures.curves:"
_GSM_WEIGHTS = "pruning.systems.gsm.figures.weights:"
_LINES = "Lines are means over replicates, bands one standard deviation to each side."
_DING = " Methods and terms are those of Ding et al. (NeurIPS 2019)."
FIGURES |= {
    "gsm_passive_decay": Entry(
        f"{_GSM}passive_decay",
        GSM,
        "Size of a weight that begins at 1 and only gets passive updates, which are weight decay "
        "and momentum (β) without a gradient, by iteration; computed, of no network. Dashed: 1e-3 "
        "and 1e-4." + _DING,
        _has_gsm,
        {
            "learning_rate": 5e-3,
            "weight_decay": 5e-4,
            "momenta": (0, 0.9, 0.95, 0.98, 0.99),
            "iterations": 40_000,
        },
        tables=("gsm",),
        overlays=(),
    ),
    "gsm_accuracy": Entry(
        f"{_GSM}accuracy",
        GSM,
        "Test accuracy by compression ratio (1 / density): networks trained by GSM before and "
        "after all but the largest weights are zeroed, the dense network pruned by magnitude, and "
        "winning tickets by the masks of both. " + _MEANS + " Short bars and hollow arrowheads are "
        "published." + _DING,
        _has_gsm,
        tables=("gsm",),
        overlays=("gsm_published",),
    ),
    "gsm_momentum": Entry(
        f"{_GSM_CURVES}momentum",
        GSM,
        "GSM trainings with different momentum (β) by epoch. Left: test accuracy before (dashed) "
        "and after (solid) zeroing at that moment. Right: share of all prunable weights below 1e-3 "
        "(solid) and 1e-4 (dashed), beside the share that is to be removed. " + _LINES + _DING,
        _varies_momentum,
        tables=("gsm_curves",),
        overlays=(),
    ),
    "gsm_reselection": Entry(
        f"{_GSM_CURVES}reselection",
        GSM,
        "Test accuracy by epoch of GSM trainings that select anew in each step which weights get "
        "gradients, and of ones that keep the selection of the first step; before (dashed) and "
        "after (solid) zeroing at that moment. " + _LINES + _DING,
        _freezes_selection,
        tables=("gsm_curves",),
        overlays=(),
    ),
    "gsm_layers": Entry(
        f"{_GSM_WEIGHTS}layers",
        GSM,
        "Left: share of its weights that each layer keeps under the masks of GSM and of magnitude. "
        "Right: test accuracy of the dense network when one layer alone is pruned by magnitude; "
        "above it the rank correlation over layers of the accuracy that is lost with the density "
        "that GSM finds. Points are means over replicates, bars one standard deviation to each "
        "side." + _DING,
        _prunes_single_layers,
        tables=("gsm_layers", "gsm_sensitivity"),
        overlays=(),
    ),
    "gsm_tickets": Entry(
        f"{_GSM_CURVES}tickets",
        GSM,
        "Test accuracy by epoch of winning tickets: the initial weights under the masks that GSM "
        "and magnitude pruning find, trained as the dense network (thin) is. "
        + _LINES
        + " Arrowheads at the lower edge are of tickets that end below it."
        + _DING,
        _trains_gsm_tickets,
        tables=("gsm_curves",),
        overlays=(),
    ),
    "gsm_magnitudes": Entry(
        f"{_GSM_WEIGHTS}magnitudes",
        GSM,
        "Sizes of all prunable weights before zeroing, of the network trained by GSM and of the "
        "dense one it began with; the leftmost bin begins at 0. Shaded: between the largest weight "
        "that zeroing removes and the smallest that it keeps (dotted), with the ratio of the two. "
        "Means over replicates." + _DING,
        _has_gsm,
        tables=("gsm_magnitudes",),
        overlays=(),
    ),
}


def entry(name: str) -> Entry:
    """The figure of this name.

    Raises:
        PruningError: there is none; the message lists those there are.
    """
    return look_up("figure", name, FIGURES)


def figures_of(study: Study) -> list[str]:
    """Names of all figures that a study has."""
    return [name for name, figure in FIGURES.items() if figure.needs(study)]
