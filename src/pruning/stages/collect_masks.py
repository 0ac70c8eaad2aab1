"""Stage: reports of masks -> tables of layers and of output channels."""

from collections.abc import Iterable
from pathlib import Path

from pruning.analysis.mask_tables import mask_tables
from pruning.analysis.tidy import write_table


def collect_masks(
    study: str, reports: Iterable[Path | str], layers: Path | str, channels: Path | str
) -> None:
    """Write both tables.

    Args:
        study: its name.
        reports: the ``report.json`` beside each mask.
        layers, channels: the CSV files to write.
    """
    reports = list(reports)
    by_layer, by_channel = mask_tables(study, reports)
    write_table(by_layer, layers, len(reports))
    write_table(by_channel, channels, len(reports))
