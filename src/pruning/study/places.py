"""Where the stages of a study lie under ``results/``: with the wings' own, all paths there are.

::

    data/<dataset>.safetensors
    <study>/seed<k>/dense/{state.safetensors,state.json,metrics.csv,summary.json,timing.json,rewind/}
    <study>/seed<k>/rewind_states/t<time>.safetensors
    <study>/seed<k>/<chain>/level<n>/{mask.safetensors,mask.json,report.json}
    <study>/{tidy.csv,<system>.csv,<system>_layers.csv,<system>_channels.csv,...}
    published/<paper>/tidy.csv

What else a system leaves is said in the ``places`` of its wing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pruning.errors import unknown
from pruning.study.study import Study
from pruning.systems import find_system, joined, systems
from pruning.systems.system import Training

RESULTS = "results"
TRAINING_FILES = (
    "state.safetensors",
    "state.json",
    "metrics.csv",
    "timing.json",
    "summary.json",
)


def spell(time: float | str) -> str:
    """A retrain time in a path: t18, t0.5. A text is already spelled."""
    return f"t{time}" if isinstance(time, str) else f"t{time:g}"


def data_file(dataset: str) -> str:
    """A prepared data set."""
    return f"{RESULTS}/data/{dataset}.safetensors"


def seed_folder(study: str, seed: int | str) -> str:
    """Everything of one replicate."""
    return f"{RESULTS}/{study}/seed{seed}"


def dense_folder(study: str, seed: int | str) -> str:
    """The dense training of one replicate."""
    return f"{seed_folder(study, seed)}/dense"


def mask(study: str, seed: int | str, chain: str, level: int | str) -> str:
    """The masks of one level of a chain."""
    return f"{seed_folder(study, seed)}/{chain}/level{level}/mask.safetensors"


def mask_metadata(mask: str) -> str:
    """The readable file beside a mask: what its pruning decided."""
    return mask.replace(".safetensors", ".json")


def mask_report(mask: str) -> str:
    """The other readable file beside a mask: what it leaves of the network."""
    return mask.replace("mask.safetensors", "report.json")


@dataclass(frozen=True)
class Chain:
    """A sequence of prunings.

    Attributes:
        prunings: parameters of the prune stage at level 1, 2, ...
        pruned: the file that a level of a replicate prunes, by (seed, level).
        prunes: what that file holds: a ``state``, or ``masks`` where nothing else is looked at.
        one_training: whether a level's mask is of a single training, which waits for it.
    """

    prunings: tuple[Mapping[str, Any], ...]
    pruned: Callable[[int | str, int], str]
    prunes: Literal["state", "masks"] = "state"
    one_training: bool = False


def chains(study: Study) -> dict[str, Chain]:
    """Every chain of a study by the name that paths have."""
    return {name: chain for system in systems() for name, chain in system.chains(study).items()}


def rewind_state(study: str, seed: int | str, time: float | str) -> str:
    """The dense training's state ``time`` epochs before its end."""
    return f"{seed_folder(study, seed)}/rewind_states/{spell(time)}.safetensors"


TIDY = "tidy"  # the table of all systems


def tidy_tables() -> list[str]:
    """A table of every system's trainings, so that a figure waits for no others; and of all."""
    return [*(system.name for system in systems()), TIDY]


def trainings(study: Study, table: str = TIDY) -> Iterator[Training]:
    """Every training in a tidy table of a study, dense ones first."""
    for seed in study.seeds:
        yield Training(dense_folder(study.name, seed))
    for system in systems():
        if table in (TIDY, system.name):
            yield from system.trainings(study)


def training_files(study: Study, table: str = TIDY) -> list[str]:
    """Every file that the trainings in a tidy table, and their prunings, are to leave."""
    files = [f"{dense_folder(study.name, seed)}/rewind" for seed in study.seeds]
    for training in trainings(study, table):
        files += [f"{training.folder}/{file}" for file in TRAINING_FILES]
        if training.mask is not None:
            files += mask_files(training.mask)
    for system in systems():
        if table in (TIDY, system.name):
            files += system.files(study)
    return list(dict.fromkeys(files))


def mask_files(mask: str) -> tuple[str, str, str]:
    """A mask, and both readable files beside it."""
    return mask, mask_metadata(mask), mask_report(mask)


def collected(study: Study, table: str) -> list[tuple[str, str | None]]:
    """(folder, report of the mask) of every training in a tidy table."""
    return [
        (training.folder, None if training.mask is None else mask_report(training.mask))
        for training in trainings(study, table)
    ]


def masked() -> list[str]:
    """The systems that have tables of layers and channels."""
    return [system.name for system in systems() if system.masks is not None]


def mask_reports(study: Study, name: str) -> list[str]:
    """The report of every mask that a system's tables of layers and channels are about."""
    cells = list(dict.fromkeys(find_system(name).masks(study)))
    return [
        mask_report(mask(study.name, seed, chain, level))
        for seed in study.seeds
        for chain, level in cells
    ]


def gathered(study: Study, name: str) -> list[tuple[str, str]]:
    """(summary, CSV) of every cell that a table is gathered from."""
    tables = joined("gathered")
    if name not in tables:
        raise unknown("gathered table", name, tables)
    return [pair for seed in study.seeds for pair in tables[name].cells(study, seed)]


def table(study: str, name: str) -> str:
    """A collected table of a study."""
    return f"{RESULTS}/{study}/{name}.csv"


def published_tidy(paper: str) -> str:
    """The tidy table of a paper's own results."""
    return f"{RESULTS}/published/{paper}/tidy.csv"


def published_folder(paper: str, network: str | None = None) -> str:
    """Where figures of a paper's own results go."""
    return f"plots/published/{paper}" if network is None else f"plots/published/{paper}/{network}"


def claims_files(folder: str, name: str = "claims") -> tuple[str, ...]:
    """A page of claims of a study or paper: the table and the page."""
    return f"{folder}/{name}.csv", f"{folder}/{name}.md"


def figure_files(stem: str) -> tuple[str, ...]:
    """The files of a figure."""
    return tuple(f"{stem}.{ending}" for ending in ("pdf", "png", "csv"))


def read_repairs(product: str) -> int:
    """The count kept for a product; see :class:`pruning.study.asks.Workflow`."""
    try:
        return int(_repairs_file(product).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def write_repairs(product: str, count: int) -> None:
    """Write the count down."""
    path = _repairs_file(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{count}\n", encoding="utf-8")


def _repairs_file(product: str) -> Path:
    return Path(RESULTS, ".repairs", product.replace("/", "-"))
