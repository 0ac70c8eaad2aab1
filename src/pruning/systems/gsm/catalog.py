"""Ding et al. (NeurIPS 2019): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pruning.figures.captions import MEANS
from pruning.study.study import Study
from pruning.systems.system import Claims, Figure

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

TITLE = "Global sparse momentum SGD"


def _has_gsm(study: Study) -> bool:
    return "gsm" in study.parts


def _varies_momentum(study: Study) -> bool:
    """Whether at some level trainings that select anew differ in momentum."""
    momenta: dict[int, set[float]] = {}
    for level, options in _trainings(study):
        if options.get("reselect", True):
            momenta.setdefault(level, set()).add(options.get("momentum", 0.0))
    return any(len(found) > 1 for found in momenta.values())


def _freezes_selection(study: Study) -> bool:
    """Whether at some level the unmodified training selects anew and another does not."""
    kept: dict[int, set[bool]] = {}
    for level, options in _trainings(study):
        kept.setdefault(level, set()).add(options.get("reselect", True))
    return any(len(found) > 1 for found in kept.values())


def _prunes_single_layers(study: Study) -> bool:
    return _has_gsm(study) and bool(study.part("gsm").sensitivity)


def _trains_gsm_tickets(study: Study) -> bool:
    return _has_gsm(study) and bool(study.part("gsm").tickets)


def _passive(study: Study) -> dict[str, Any]:
    """What moves a weight without a gradient, of each training that selects anew in each step."""
    gsm = study.part("gsm")
    trainings = []
    for variant in dict.fromkeys(variant for variant, _ in gsm.trainings()):
        optimizer = gsm.training_recipe(variant, 1)["optimizer"]
        options = optimizer["options"]
        if options.get("reselect", True) and optimizer["weight_decay"] > 0:
            trainings.append(
                {
                    "variant": variant,
                    "momentum": options.get("momentum", 0.0),
                    "weight_decay": optimizer["weight_decay"],
                    "nesterov": options.get("nesterov", False),
                }
            )
    return {"passive": trainings}


def _decays(study: Study) -> bool:
    return _has_gsm(study) and bool(_passive(study)["passive"])


def _trainings(study: Study) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Level and optimizer options of each training by GSM."""
    if _has_gsm(study):
        gsm = study.part("gsm")
        for variant, level in gsm.trainings():
            yield level, gsm.training_recipe(variant, level)["optimizer"]["options"]


_GSM = "pruning.systems.gsm.figures.accuracy:"
_GSM_CURVES = "pruning.systems.gsm.figures.curves:"
_GSM_WEIGHTS = "pruning.systems.gsm.figures.weights:"
_LINES = "Lines are means over replicates, bands one standard deviation to each side."
_DING = " Methods and terms are those of Ding et al. (NeurIPS 2019)."
FIGURES: dict[str, Figure] = {
    "gsm_passive_decay": Figure(
        f"{_GSM}passive_decay",
        TITLE,
        "Size of a weight that begins at 1 and never has a gradient, so that only weight decay and "
        "momentum (β) move it, by epoch; computed from the learning rates, the weight decay and "
        "the momenta of this study's trainings by GSM. Horizontal lines: the sizes below which "
        "weights are counted as small." + _DING,
        _decays,
        tables=("gsm_curves",),
        options=_passive,
    ),
    "gsm_accuracy": Figure(
        f"{_GSM}accuracy",
        TITLE,
        "Test score by compression ratio (1 / density): networks trained by GSM before and "
        "after all but the largest weights are zeroed, the dense network pruned by magnitude, and "
        "winning tickets by the masks of both. Each ratio is a slot, in which methods stand beside "
        "each other. " + MEANS + " Horizontal strokes without bars are published." + _DING,
        _has_gsm,
        tables=("gsm",),
        overlays=("gsm_published",),
    ),
    "gsm_momentum": Figure(
        f"{_GSM_CURVES}momentum",
        TITLE,
        "GSM trainings with different momentum (β) by epoch. Above: test score before zeroing, "
        "and after zeroing at that moment. Below: share of all prunable weights below 1e-3 and "
        "below 1e-4, beside the share that is to be removed. " + _LINES + _DING,
        _varies_momentum,
        tables=("gsm_curves",),
    ),
    "gsm_reselection": Figure(
        f"{_GSM_CURVES}reselection",
        TITLE,
        "Test score by epoch of GSM trainings that select anew in each step which weights get "
        "gradients, and of ones that keep the selection of the first step; before zeroing, and "
        "after zeroing at that moment. " + _LINES + _DING,
        _freezes_selection,
        tables=("gsm_curves",),
    ),
    "gsm_layers": Figure(
        f"{_GSM_WEIGHTS}layers",
        TITLE,
        "Share of its weights that each layer keeps under the masks of GSM and of magnitude, a "
        "panel per ratio, on a log scale; last, the test score of the dense network when one layer "
        "alone is pruned by magnitude. r: rank correlation over layers of what is lost then with "
        "the share that GSM keeps. Points are means over replicates, bars one standard deviation "
        "to each side." + _DING,
        _prunes_single_layers,
        tables=("gsm_layers", "gsm_sensitivity"),
    ),
    "gsm_tickets": Figure(
        f"{_GSM_CURVES}tickets",
        TITLE,
        "Test score by epoch of winning tickets: the initial weights under the masks that GSM "
        "and magnitude pruning find, trained as the dense network (thin) is. "
        + _LINES
        + " Arrows through an edge are of lines that are beyond it there."
        + _DING,
        _trains_gsm_tickets,
        tables=("gsm_curves",),
    ),
    "gsm_magnitudes": Figure(
        f"{_GSM_WEIGHTS}magnitudes",
        TITLE,
        "Share of all prunable weights that are smaller than x, before zeroing, of the network "
        "trained by GSM and of the dense one it began with. Thick: from the largest weight that "
        "zeroing removes to the smallest that it keeps. Means over replicates." + _DING,
        _has_gsm,
        tables=("gsm_magnitudes",),
    ),
}


CLAIMS: dict[str, Claims] = {
    "gsm_claims": Claims(
        "pruning.systems.gsm.evidence:GSM2019",
        TITLE,
        "The claims of Ding et al. (NeurIPS 2019), *Global Sparse Momentum SGD for Pruning Very "
        "Deep Neural Networks*, counted over this study's cells: how many satisfy each, and by how "
        "much the worst one misses it; and the paper's accuracies beside this study's.",
        "gsm",
        lambda study: "gsm" in study.parts,
        published=("gsm.csv",),
    ),
}
