"""Stage: readable files of masks -> tables of layers and of output channels."""

from collections.abc import Iterable
from pathlib import Path

from pruning.analysis.mask_tables import mask_tables
from pruning.analysis.tidy import write_table


def collect_masks(
    study: str, masks: Iterable[Path | str], layers: Path | str, channels: Path | str
) -> None:
    """Write both tables.

    Args:
        study: its name.
        masks: the JSON files beside masks.
        layers, channels: the CSV files to write.
    """
    by_layer, by_channel = mask_tables(study, masks)
    write_table(by_layer, layers)
    write_table(by_channel, channels)
