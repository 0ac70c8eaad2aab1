"""Published numbers, carried in ``resources/published/`` with their sources."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from pruning.analysis import FOLDER
from pruning.analysis.cells import COLUMNS
from pruning.analysis.score import of_units
from pruning.analysis.tidy import read_table
from pruning.errors import PruningError, unknown

DERIVED = ("study", "compression_ratio", "metric")  # not written: they follow from the rest
LITERATURE = ("network", "dataset", "variant", "density", "change", "spread", "unit", "source")


def transcribe(table: pd.DataFrame) -> pd.DataFrame:
    """Cells as they are written down: without what follows from the rest, four decimals.

    Args:
        table: cells of published results, see :func:`pruning.analysis.cells.cells`.
    """
    kept = table.drop(columns=list(DERIVED)).reset_index(drop=True)
    costs = ["macs", "macs_min", "macs_max", "dense_macs"]
    kept[costs] = kept[costs].round().astype("Int64")  # a median of two costs may be a half
    return kept.round({"median": 4, "min": 4, "max": 4, "validation": 4, "density": 6})


def read_cells(name: str, folder: Path | str = FOLDER) -> pd.DataFrame:
    """Published cells; ``study`` is ``<name>_<network>``.

    Args:
        name: of the paper, like ``renda2020``.
        folder: where the files are.

    Raises:
        PruningError: there is no such file, or it lacks a column.
    """
    table = read_table(_file(name, folder), [c for c in COLUMNS if c not in DERIVED])
    table["variant"] = table["variant"].astype(object).fillna("")
    table["study"] = f"{name}_" + table["network"]
    table["compression_ratio"] = 1 / table["density"]
    table["metric"] = of_units(table["unit"])
    return table[list(COLUMNS)]


def read_literature(name: str, folder: Path | str = FOLDER) -> pd.DataFrame:
    """Results of other papers that a paper's figures show as points: :data:`LITERATURE`.

    Raises:
        PruningError: there is no such file, or it lacks a column.
    """
    return read_table(_file(f"{name}_literature", folder), LITERATURE)


@lru_cache(maxsize=8)  # figures ask for the same network in every panel
def network_cells(reference: str, folder: Path | str = FOLDER) -> pd.DataFrame:
    """Published cells of one network.

    Args:
        reference: ``<paper>:<network>``, as a study's ``figure.published`` has it.
        folder: where the files are.

    Raises:
        PruningError: no such paper or network.
    """
    name, _, network = reference.partition(":")
    table = read_cells(name, folder)
    if network not in set(table["network"]):
        raise unknown(f"network of {name}", network, sorted(set(table["network"])))
    return table[table["network"] == network].reset_index(drop=True)


@dataclass(frozen=True)
class Accuracies:
    """A file of published accuracies in percent, of one or more sources.

    Attributes:
        name: of the file, without its ending.
        columns: that it has; ``source``, ``network``, ``dataset`` and ``variant`` among them.
    """

    name: str
    columns: tuple[str, ...]

    def read(self, source: str, folder: Path | str = FOLDER) -> pd.DataFrame:
        """The rows of one source.

        Args:
            source: as the file's column ``source`` has it.
            folder: where the file is.

        Raises:
            PruningError: no such source, or the file cannot be read.
        """
        table = read_table(Path(folder, f"{self.name}.csv"), self.columns)
        if source not in set(table["source"]):
            raise unknown("source of published accuracies", source, set(table["source"]))
        table = table[table["source"] == source].reset_index(drop=True)
        return table.assign(variant=table["variant"].astype(object).fillna(""))

    def check(self, reference: str, folder: Path | str = FOLDER) -> None:
        """Refuse a ``<source>`` or ``<source>:<network>:<dataset>`` that was never published.

        Raises:
            PruningError: see :meth:`read_for`.
        """
        source, _, rest = reference.partition(":")
        table = self.read(source, folder)
        if rest:
            _of_network(table, rest)

    def read_for(
        self, reference: str, network: str, dataset: str, folder: Path | str = FOLDER
    ) -> pd.DataFrame:
        """The rows to hold beside a study's.

        Args:
            reference: ``<source>`` or ``<source>:<network>:<dataset>``. Without a network, the
                study's own if the source has it, else the only one that it has.
            network, dataset: the study's.
            folder: where the file is.

        Raises:
            PruningError: no such source, or it has several networks and not this one.
        """
        source, _, rest = reference.partition(":")
        table = self.read(source, folder)
        known = set(_networks(table))
        wanted = rest or f"{network}:{dataset}"
        if not rest and wanted not in known and len(known) == 1:
            (wanted,) = known
        return _of_network(table, wanted)


def _networks(published: pd.DataFrame) -> pd.Series:
    """``<network>:<dataset>`` of each row."""
    return published["network"] + ":" + published["dataset"]


def _of_network(published: pd.DataFrame, wanted: str) -> pd.DataFrame:
    """The rows of one ``<network>:<dataset>`` of one source."""
    names = _networks(published)
    if wanted not in set(names):
        raise unknown(f"network of {published['source'].iloc[0]}", wanted, set(names))
    return published[names == wanted].reset_index(drop=True)


def _file(name: str, folder: Path | str) -> Path:
    path = Path(folder, f"{name}.csv")
    if not path.exists():
        files = sorted(p.stem for p in Path(folder).glob("*.csv"))
        raise PruningError(f"There is no {path}. Published results there are: {', '.join(files)}.")
    return path
