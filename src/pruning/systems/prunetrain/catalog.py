"""Lym et al. (SC 2019): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from pruning.study.study import Study
from pruning.systems.prunetrain.rules import METHODS
from pruning.systems.system import Claims, Figure

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

TITLE = "PruneTrain"


def _levels(study: Study, method: str) -> set[int]:
    """The levels at which a study trains by a method."""
    levels = study.part("prunetrain").levels if "prunetrain" in study.parts else {}
    return set(levels.get(method, ()))


def _shrinks(study: Study) -> bool:
    return bool(_levels(study, "prunetrain"))


def _trains(study: Study) -> bool:
    return any(_levels(study, method) for method in METHODS)


def _keeps_channels(study: Study) -> bool:
    """Whether it has trainings that cut nothing before their end."""
    return any(_levels(study, name) for name, method in METHODS.items() if method.once)


def _scales(study: Study) -> bool:
    return bool(_levels(study, "prunetrain") & _levels(study, "prunetrain_size_scaled"))


def _gates(study: Study) -> bool:
    return bool(_levels(study, "prunetrain") & _levels(study, "prunetrain_gating"))


def _grows(study: Study) -> bool:
    return bool(_levels(study, "prunetrain") & _levels(study, "prunetrain_dynamic_batch"))


def _compares(study: Study) -> bool:
    """Whether there is a level at which it has all of these methods that it compares at all."""
    others = ("prunetrain_one_time", "train_then_prune")
    shared = [_levels(study, "prunetrain") & _levels(study, other) for other in others]
    shared = [levels for levels in shared if levels]
    return bool(shared) and bool(set.intersection(*shared))


_EPOCHS = "pruning.systems.prunetrain.figures.epochs:"
_LAYERS = "pruning.systems.prunetrain.figures.layers:"
_SCORES = "pruning.systems.prunetrain.figures.scores:"
_TABLE = "pruning.systems.prunetrain.figures.table:"
_LINES = "Lines are means over n replicates, bands one standard deviation to each side."
_BARS = "Points are means over n replicates, bars one standard deviation to each side."
_PAPER = " Methods and terms are those of Lym et al. (SC 2019)."
_OF_WHOLE = "relative to the median of those before anything was cut"
FIGURES: dict[str, Figure] = {
    "prunetrain_costs": Figure(
        f"{_EPOCHS}costs",
        TITLE,
        "What an epoch costs while the network shrinks, in percent of the first epoch, when "
        "nothing had been cut: multiply-accumulates of training (MACs), elements that batch norms "
        "move, activations and output channels of convolutions, and size of the model; a line per "
        "share of the penalty in the loss at the start. All panels have the same axis. "
        + _LINES
        + " Dashed lines are published, of the same network and data set."
        + _PAPER,
        _shrinks,
        tables=("prunetrain_epochs",),
        overlays=("prunetrain_published",),
        published=("prunetrain_intervals.csv",),
    ),
    "prunetrain_density": Figure(
        f"{_LAYERS}density",
        TITLE,
        "Left: share of a layer's output and input channels, as built, that are not sparse; the "
        "mean over layers by epoch, a line per share of the penalty in the loss at the start, on "
        "the same axis. Right: output channels of each layer as built and at the end of training. "
        "Means over n replicates; bands and thin bars are one standard deviation to each side, "
        "grey bars are layers as built." + _PAPER,
        _shrinks,
        tables=("prunetrain_epochs", "prunetrain_layers"),
    ),
    "prunetrain_revival": Figure(
        f"{_LAYERS}revival",
        TITLE,
        "Size of the largest weight of every output channel by epoch, on a logarithmic scale, in "
        "one training that cuts nothing before its end; channels are sorted by what they are then. "
        "Greys are below the threshold under which a channel is sparse. Above each layer: of the "
        "channels that were sparse at one moment, how many were not at a later one." + _PAPER,
        _keeps_channels,
        tables=("prunetrain_channels",),
    ),
    "prunetrain_filters": Figure(
        f"{_LAYERS}filters",
        TITLE,
        "Size of the largest weight between each input and output channel of convolutions, on a "
        "logarithmic scale, at the end of one training that cut nothing before. Greys are below "
        "the threshold under which a channel is sparse." + _PAPER,
        _keeps_channels,
        tables=("prunetrain_filters",),
    ),
    "prunetrain_scaling": Figure(
        f"{_LAYERS}scaling",
        TITLE,
        "MACs of inference that each layer keeps, trained with one strength of the penalty for all "
        "groups of weights and with groups that count by their size; grey bars are the layer's "
        "share of all MACs of the network as built. " + _BARS + _PAPER,
        _scales,
        tables=("prunetrain_layers",),
    ),
    "prunetrain_gates": Figure(
        f"{_EPOCHS}gates",
        TITLE,
        "Channels cut where all layers that share them agree (union), beside layers of residual "
        "branches that keep their own (gating); in a network without branches they keep what both "
        "of its sides need. Training MACs of an epoch in percent of the first, and its time, "
        + _OF_WHOLE
        + ". "
        + _LINES
        + _PAPER,
        _gates,
        tables=("prunetrain_epochs", "prunetrain_seconds"),
    ),
    "prunetrain_batch": Figure(
        f"{_EPOCHS}batch",
        TITLE,
        "An estimate of the memory that training takes, the mini-batch and the learning rate by "
        "epoch, with a mini-batch that grows into the memory that pruning frees and with one that "
        "stays; the dashed line is the memory that it may take. The rule by which it grows is this "
        "project's own. " + _LINES + _PAPER,
        _grows,
        tables=("prunetrain_epochs",),
    ),
    "prunetrain_accuracy": Figure(
        f"{_SCORES}accuracy",
        TITLE,
        "Test score by the multiply-accumulates (MACs) that a network takes to use and that were "
        "spent to train it, in percent of what the dense network and its training take; training "
        "is counted as three forward passes, and includes what a network began with. Points of a "
        "line are shares of the penalty in the loss at the start; open markers are fine-tuned. "
        "Points are means over n replicates, bars one standard deviation to each side in both "
        "directions; the dashed line and the grey band are the dense networks. Stars are "
        "published, of the same network and data set; their training is counted as the authors "
        "do, so that its percentages are not quite the same." + _PAPER,
        _trains,
        tables=("prunetrain",),
        overlays=("prunetrain_published",),
    ),
    "prunetrain_variants": Figure(
        f"{_SCORES}variants",
        TITLE,
        "Test score and MACs of networks that shrink while they train, of ones that are cut once "
        "at the end, and of ones that are trained, pruned under the same penalty and fine-tuned, "
        "at shares of the penalty that they have in common. MACs are in percent of what the dense "
        "network and its training take; training is counted as three forward passes. Points are "
        "means over n replicates, bars one standard deviation to each side." + _PAPER,
        _compares,
        tables=("prunetrain", "prunetrain_epochs"),
    ),
    "prunetrain_progress": Figure(
        f"{_EPOCHS}progress",
        TITLE,
        "The penalty's share of the training loss by epoch, for several shares at the start; the "
        "time of an epoch, "
        + _OF_WHOLE
        + "; the bytes of gradients that each worker of data-parallel training would exchange in "
        "it, which is arithmetic; and learning rate times the strength of the penalty (λ), on a "
        "logarithmic axis, below a bound beyond which channels that die would not stay dead, "
        "which is this project's own. " + _LINES + _PAPER,
        _shrinks,
        tables=("prunetrain_epochs", "prunetrain_seconds"),
    ),
    "prunetrain_table": Figure(
        f"{_TABLE}results",
        TITLE,
        "What PruneTrain saves and what is left of the score, for several shares of the penalty in "
        "the loss at the start: means over n replicates with one standard deviation. MACs of "
        "training, what batch norms move and the gradients that each worker of data-parallel "
        "training would exchange are of the whole training, counted as the authors count them, in "
        "percent of a training of the same length that cuts nothing; the time of an epoch is in "
        "percent of one of the dense network's training; memory is an estimate, of "
        "the last epoch, in percent of the first. The score is held beside the dense network of "
        "the same seed. Shaded rows are published, of the same network and data set, with what "
        "they are from; where nothing is known there is a dash." + _PAPER,
        _shrinks,
        tables=("prunetrain", "prunetrain_epochs", "prunetrain_seconds"),
        overlays=("prunetrain_published",),
    ),
}


def _tables_beside(study: Study) -> tuple[str, ...]:
    """Sizes of channels only where a training keeps all channels to the end."""
    tables = ("prunetrain_epochs", "prunetrain_layers", "prunetrain_seconds")
    return (*tables, "prunetrain_channels") if _keeps_channels(study) else tables


CLAIMS: dict[str, Claims] = {
    "prunetrain_claims": Claims(
        "pruning.systems.prunetrain.evidence:LYM2019",
        TITLE,
        "Claims about PruneTrain (Lym et al., SC 2019) counted over this study's cells: how many "
        "satisfy each, and by how much the worst one misses it; and the authors' numbers beside "
        "this study's.",
        "prunetrain",
        _trains,
        published=("prunetrain.csv", "prunetrain_intervals.csv"),
        beside=_tables_beside,
    ),
}
