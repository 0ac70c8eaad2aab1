"""The tables that a study's results are collected in, by name, and what columns each has."""

from pruning import registry
from pruning.systems import joined, systems

# A new table changes no other; a stage that reads one names it among its parameters.
CODE_VERSION_SKIP = "a table of names"


def mask_tables() -> dict[str, str]:
    """Tables made from masks' readable files: the system of each, two of one that has them."""
    return {
        f"{system.name}_{of}": system.name
        for system in systems()
        if system.masks is not None
        for of in ("layers", "channels")
    }


def columns(name: str) -> tuple[str, ...]:
    """Columns of a table; those that only have results of trainings in them are tidy."""
    from pruning.analysis import mask_tables as masks  # pandas, which planning does not need
    from pruning.analysis import tidy

    if name in joined("gathered"):
        return registry.load(joined("gathered")[name].columns)
    if name in mask_tables():
        return masks.LAYERS if name.endswith("_layers") else masks.CHANNELS
    return tidy.COLUMNS
