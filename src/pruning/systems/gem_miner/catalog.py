"""Sreenivasan et al. (NeurIPS 2022): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from pruning.figures.captions import MEANS
from pruning.study.study import Study
from pruning.systems.gem_miner.rules import SPARSE, UNMODIFIED
from pruning.systems.gem_miner.section import Cell
from pruning.systems.system import Claims, Figure

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

TITLE = "Rare gems"


def _cells(study: Study) -> tuple[Cell, ...]:
    return study.part("gem_miner").cells if "gem_miner" in study.parts else ()


def _searches(study: Study) -> bool:
    return any(cell.method == "gem_miner" for cell in _cells(study))


def _is_sparse(study: Study) -> bool:
    """Whether it searches where the paper claims anything."""
    return _searches(study) and study.part("gem_miner").densities[-1] <= SPARSE


def _checks(study: Study) -> bool:
    spoiled = any(
        cell.method == "gem_miner" and cell.variant not in (UNMODIFIED, *_swept(study))
        for cell in _cells(study)
    )
    return _searches(study) and (
        spoiled or any(cell.method == "gem_miner_inverted" for cell in _cells(study))
    )


def _swept(study: Study) -> tuple[str, ...]:
    return tuple(study.part("gem_miner").sweep)


def _has_family(study: Study) -> bool:
    """Whether several of Edge-Popup's kin reach the sparsest density that any of them does."""
    kin = [
        cell
        for cell in _cells(study)
        if cell.variant == UNMODIFIED
        and (cell.method == "gem_miner" or "edge_popup" in cell.method)
    ]
    last = max((cell.level for cell in kin), default=0)
    return _searches(study) and len({cell.method for cell in kin if cell.level == last}) > 1


def _has_others(study: Study) -> bool:
    """Whether anything is there whose steps can be held beside those of Gem-Miner's search."""
    methods = {cell.method for cell in _cells(study)} - {"gem_miner_inverted"}
    return _searches(study) and (
        len(methods) > 1 or any(part in study.parts for part in ("rewinding", "at_init"))
    )


_SCORES = "pruning.systems.gem_miner.figures.scores:"
_CURVES = "pruning.systems.gem_miner.figures.curves:"
_EMPTY = "Crosses are networks with no weight left, where a search found nothing. "
_PAPER = " Methods and terms are those of Sreenivasan et al. (NeurIPS 2022)."
FIGURES: dict[str, Figure] = {
    "gem_miner_accuracy": Figure(
        f"{_SCORES}accuracy",
        TITLE,
        "Test score by what is really kept, of networks that were found by searching random "
        "weights and then trained, beside pruning by other rules. IMP is iterative magnitude "
        "pruning with weights rewound to an early step (warm-up) or to the beginning (cold). "
        + _EMPTY
        + MEANS
        + _PAPER,
        _searches,
        tables=("tidy",),
        overlays=("gem_miner_published",),
    ),
    "gem_miner_sanity": Figure(
        f"{_SCORES}sanity",
        TITLE,
        "Test score of what Gem-Miner found, trained as it is, with its mask shuffled within "
        "layers, with weights drawn anew, and found by freezing the wrong end of the scores. "
        + _EMPTY
        + MEANS
        + _PAPER,
        _checks,
        tables=("gem_miner",),
        overlays=("gem_miner_published",),
    ),
    "gem_miner_before": Figure(
        f"{_SCORES}before",
        TITLE,
        "Test score before any weight is trained, under the mask that is trained next; dotted and "
        "open where the mask of the search's last scores gives another. " + _EMPTY + MEANS + _PAPER,
        _searches,
        tables=("gem_miner",),
        overlays=("gem_miner_published",),
    ),
    "gem_miner_family": Figure(
        f"{_SCORES}family",
        TITLE,
        "Test score before (open) and after training of what Edge-Popup, its global and gradual "
        "forms and Gem-Miner find, at the sparsest density of the study. " + MEANS + _PAPER,
        _has_family,
        tables=("gem_miner",),
        overlays=("gem_miner_published",),
    ),
    "gem_miner_budget": Figure(
        f"{_SCORES}budget",
        TITLE,
        "Test score by the optimizer steps that finding and training a network took, everything "
        "counted, of each method at the density nearest to the sparsest one that all searches "
        "have, if that is within a factor of 1.5. " + MEANS + _PAPER,
        _has_others,
        tables=("tidy",),
    ),
    "gem_miner_densities": Figure(
        f"{_CURVES}densities",
        TITLE,
        "Density of Gem-Miner's mask by epoch of the search, for several strengths of the penalty; "
        "dotted, the share of weights that are not frozen out. Means over replicates." + _PAPER,
        _searches,
        tables=("gem_miner_curves",),
    ),
    "gem_miner_convergence": Figure(
        f"{_CURVES}convergence",
        TITLE,
        "Test score by epoch, through Gem-Miner's search and the training of what it found. Lines "
        "are means over n replicates, bands one standard deviation to each side. The vertical line "
        "is where the search ends; lines across are dense networks and iterative pruning." + _PAPER,
        _searches,
        tables=("gem_miner_curves", "tidy"),
    ),
    "gem_miner_layers": Figure(
        "pruning.systems.gem_miner.figures.layers:layers",
        TITLE,
        "Share of its weights that each layer keeps, means over replicates; bars are the share of "
        "all weights that the layer has. Open markers at the lower edge are layers that are empty "
        "in all replicates; crosses are published." + _PAPER,
        _searches,
        tables=("gem_miner_layers",),
        overlays=("gem_miner_published",),
        published=("gem_miner_layers.csv",),
    ),
}

CLAIMS: dict[str, Claims] = {
    "gem_miner_claims": Claims(
        "pruning.systems.gem_miner.evidence:RAREGEMS2022",
        TITLE,
        "The claims of Sreenivasan et al. (NeurIPS 2022), *Rare Gems: Finding Lottery Tickets at "
        "Initialization*, counted over this study's cells: how many satisfy each, and by how much "
        "the worst one misses it.",
        "tidy",
        _is_sparse,
        options=lambda study: {"classes": study.figure.get("classes", 10)},
    ),
}
