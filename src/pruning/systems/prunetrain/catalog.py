"""Lym et al. (SC 2019): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from pruning.study.study import Study
from pruning.systems.prunetrain.rules import METHODS
from pruning.systems.system import Claims, Figure

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

FIGURES: dict[str, Figure] = {}


def _has_prunetrain(study: Study) -> bool:
    return "prunetrain" in study.parts


def _tables_beside(study: Study) -> tuple[str, ...]:
    """Sizes of channels only where a training keeps all channels to the end."""
    tables = ("prunetrain_epochs", "prunetrain_layers", "prunetrain_seconds")
    keeps = any(METHODS[name].once for name in study.part("prunetrain").levels)
    return (*tables, "prunetrain_channels") if keeps else tables


CLAIMS: dict[str, Claims] = {
    "prunetrain_claims": Claims(
        "pruning.systems.prunetrain.evidence:LYM2019",
        "PruneTrain",
        "Claims about PruneTrain (Lym et al., SC 2019) counted over this study's cells: how many "
        "satisfy each, and by how much the worst one misses it; and the authors' numbers beside "
        "this study's.",
        "prunetrain",
        _has_prunetrain,
        published=("prunetrain.csv", "prunetrain_intervals.csv"),
        beside=_tables_beside,
    ),
}
