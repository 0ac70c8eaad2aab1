"""The tables that a study's results are collected in, by name, and what columns each has."""

from pruning.analysis import mask_tables, tidy

# Made from masks' readable files, and not from trainings.
MASK_TABLES = {"at_init_layers": mask_tables.LAYERS, "at_init_channels": mask_tables.CHANNELS}


def columns(name: str) -> tuple[str, ...]:
    """Columns of a table; those that have trainings in them are all tidy."""
    return MASK_TABLES.get(name, tidy.COLUMNS)
