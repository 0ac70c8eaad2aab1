"""Frankle, Dziugaite, Roy, Carbin (ICLR 2021): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from pruning.figures.captions import MEANS
from pruning.study.papers import Paper
from pruning.study.study import Study
from pruning.systems.at_init.rules import UNMODIFIED, is_faulty
from pruning.systems.at_init.section import Cell
from pruning.systems.system import Claims, Figure

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

TITLE = "Pruning at initialization"


def _first_cells(study: Study, faulty: bool = False) -> list[Cell]:
    """Cells at the earliest epoch that their method is applied at, which is what figures show."""
    cells = study.part("at_init").cells if "at_init" in study.parts else ()
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
    for cell in study.part("at_init").cells if "at_init" in study.parts else ():
        if cell.variant == UNMODIFIED and not is_faulty(cell.method):
            epochs.setdefault((cell.method, cell.level), set()).add(cell.epoch)
    return any(len(found) > 1 for found in epochs.values())


def _repeats_faults(study: Study) -> bool:
    shown = (UNMODIFIED, "inverted")
    return any(cell.variant in shown for cell in _first_cells(study, faulty=True))


_AT_INIT = "pruning.systems.at_init.figures.accuracy:"
_MASKS = "pruning.systems.at_init.figures.masks:"
_FRANKLE = " Methods and terms are those of Frankle, Dziugaite, Roy and Carbin (ICLR 2021)."
FIGURES: dict[str, Figure] = {
    "at_init_accuracy": Figure(
        f"{_AT_INIT}accuracy_vs_sparsity",
        TITLE,
        "Test score by sparsity of networks that were pruned once, before training. "
        + MEANS
        + " Broken black and grey lines prune after training, which is what the others are "
        "measured by. Thin dashed lines are published." + _FRANKLE,
        _prunes,
        tables=("at_init",),
        overlays=("at_init_published",),
    ),
    "at_init_ablations": Figure(
        f"{_AT_INIT}ablations",
        TITLE,
        "What becomes of each method when its masks are shuffled within layers, its weights are "
        "drawn anew or its ranking is inverted. "
        + MEANS
        + " Thin dashed lines are published; in the COMP6258 reproduction "
        "SynFlow pruned nothing and the other methods ranked batch-norm scales too." + _FRANKLE,
        _ablates,
        tables=("at_init",),
        overlays=("at_init_published",),
    ),
    "at_init_improved": Figure(
        f"{_AT_INIT}improved",
        TITLE,
        "GraSP beside GraSP by absolute score, SynFlow beside shuffled SynFlow; magnitude and "
        "random pruning thin. " + MEANS + _FRANKLE,
        _improves,
        tables=("at_init",),
    ),
    "at_init_layers": Figure(
        f"{_MASKS}layers",
        TITLE,
        "Share of its weights that each layer keeps, means over replicates, on a log scale. "
        "Open markers at the lower edge are layers that are empty in all of them." + _FRANKLE,
        _prunes,
        tables=("at_init_layers",),
    ),
    "at_init_neurons": Figure(
        f"{_MASKS}neurons",
        TITLE,
        "Share of output channels at least as sparse as x, a panel per method, means over "
        "replicates; dashed: masks shuffled within layers, the difference shaded. What is left at "
        "100 % are channels without any weight." + _FRANKLE,
        _prunes,
        tables=("at_init_channels",),
    ),
    "at_init_when": Figure(
        f"{_AT_INIT}when",
        TITLE,
        "Test score by the epoch of the dense training whose weights were pruned, at one "
        "sparsity; the schedule begins anew from there. Levels without markers are networks "
        "pruned after the whole training. " + MEANS + _FRANKLE,
        _prunes_later,
        tables=("at_init",),
    ),
    "at_init_effective": Figure(
        f"{_AT_INIT}effective",
        TITLE,
        "Kept weights on a path from input to output, in percent of those that were to be kept. "
        "Open markers: in at least one replicate a layer is empty." + _FRANKLE,
        _prunes,
        tables=("at_init",),
    ),
    "at_init_reproduction_errors": Figure(
        "pruning.systems.at_init.figures.errors:reproduction_errors",
        TITLE,
        "Two faults of a reproduction, repeated on purpose (dashed, open markers): batch-norm "
        "scales that remain where they are ranked with the kernels, and the score with and without "
        "that fault of inverted masks and of GraSP; SynFlow with and without masks, weights "
        "really removed and the score. " + MEANS + _FRANKLE,
        _repeats_faults,
        tables=("at_init", "at_init_layers"),
    ),
}


PAPERS = {
    "comp6258": Paper(
        title="COMP6258 reproduction of Frankle et al. (ICLR 2021), published results",
        label="COMP6258",
        reader="pruning.systems.at_init.published:tidy_table",
        titles={"comp6258_vgg16": "VGG-16, CIFAR-10, as reported"},
        figures=("at_init_ablations",),
        files=("at_init.csv",),
    ),
}

CLAIMS: dict[str, Claims] = {
    "at_init_claims": Claims(
        "pruning.systems.at_init.evidence:FRANKLE2021",
        TITLE,
        "The claims of Frankle, Dziugaite, Roy and Carbin (ICLR 2021), *Pruning Neural Networks at "
        "Initialization: Why Are We Missing the Mark?*, counted over this study's cells: how many "
        "satisfy each, and by how much the worst one misses it.",
        "at_init",
        lambda study: "at_init" in study.parts,
    ),
}
