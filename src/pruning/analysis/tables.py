"""The tables that a study's results are collected in, by name, and what columns each has."""

from pruning.analysis import mask_tables, tidy
from pruning.systems.gsm import tables as gsm_tables

# Made from masks' readable files, and not from trainings: two of each family that has them.
MASK_TABLES = {
    f"{family}_{of}": columns
    for family in ("at_init", "gsm")
    for of, columns in (("layers", mask_tables.LAYERS), ("channels", mask_tables.CHANNELS))
}
# Gathered from CSV files of single cells.
GATHERED = {
    "gsm_curves": gsm_tables.CURVES,
    "gsm_magnitudes": gsm_tables.MAGNITUDES,
    "gsm_sensitivity": gsm_tables.SENSITIVITY,
}


def columns(name: str) -> tuple[str, ...]:
    """Columns of a table; those that only have results of trainings in them are tidy."""
    return (MASK_TABLES | GATHERED).get(name, tidy.COLUMNS)
