"""Where the stages of a study lie under ``results/``. The workflow's only source of paths.

::

    data/<dataset>.safetensors
    <study>/seed<k>/dense/{state.safetensors,state.json,metrics.csv,summary.json,timing.json,rewind/}
    <study>/seed<k>/rewind_states/t<time>.safetensors
    <study>/seed<k>/<one-shot mode>/level<n>/mask.safetensors
    <study>/seed<k>/iterative/<method>/t<time>/level<n>/mask.safetensors
    <study>/seed<k>/<mode>/<method>/t<time>/level<n>/{state.safetensors,...,summary.json}
    <study>/seed<k>/at_init/<method>/<variant>/e<epoch>/level<n>/{mask.safetensors,state...}
    <study>/seed<k>/gsm/training/<variant>/level<n>/{state.safetensors,...,summary.json}
    <study>/seed<k>/gsm/<method>/<variant>/level<n>/{mask.safetensors,state.safetensors,...}
    <study>/seed<k>/gsm/sensitivity.csv
    <study>/seed<k>/algorithm_1/{network.safetensors,mask.safetensors,levels.csv,result.json}
    <study>/{rewinding.csv,at_init.csv,gsm.csv,tidy.csv,at_init_layers.csv,...,algorithm_1.csv}
    published/<paper>/tidy.csv
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruning.study.study import Study
from pruning.systems.at_init.rules import mask_variant
from pruning.systems.at_init.section import Cell
from pruning.systems.gsm.section import MAGNITUDE
from pruning.systems.rewinding.rules import rule

RESULTS = "results"
TRAINING_FILES = (
    "state.safetensors",
    "state.json",
    "metrics.csv",
    "timing.json",
    "summary.json",
)


def _spell(time: float | str) -> str:
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


def retrain_folder(
    study: str, seed: int | str, mode: str, method: str, time: float | str, level: int | str
) -> str:
    """One retraining. ``time`` is spelled as in ``{time:g}``."""
    return f"{seed_folder(study, seed)}/{mode}/{method}/{_spell(time)}/level{level}"


def cell_chain(study: Study, mode: str, method: str, time: float | str) -> str:
    """The sequence of prunings a retraining's mask is from.

    Masks that are cut from the dense network are shared by all methods; where a level prunes what
    the level before retrained, the chain is a method's own.
    """
    return f"{mode}/{method}/{_spell(time)}" if study.modes[mode].chained else mode


def mask(study: str, seed: int | str, chain: str, level: int | str) -> str:
    """The masks of one level of a chain."""
    return f"{seed_folder(study, seed)}/{chain}/level{level}/mask.safetensors"


def mask_metadata(mask: str) -> str:
    """The readable file beside a mask."""
    return mask.replace(".safetensors", ".json")


@dataclass(frozen=True)
class Chain:
    """A sequence of prunings.

    Attributes:
        prunings: parameters of the prune stage at level 1, 2, ...
        pruned: the state file that a level of a replicate prunes, by (seed, level).
    """

    prunings: tuple[Mapping[str, Any], ...]
    pruned: Callable[[int | str, int], str]


def chains(study: Study) -> dict[str, Chain]:
    """Every chain of a study by the name that paths have."""
    found: dict[str, Chain] = {}
    for name, mode in study.modes.items():
        for method, times in mode.times.items():
            for time in times:
                chain = cell_chain(study, name, method, time)
                found[chain] = Chain(mode.prunings, _pruned_by_mode(study, chain))
    if study.at_init:
        levels = range(1, len(study.at_init.densities) + 1)
        for cell in study.at_init.cells:
            prunings = (study.at_init.pruning(cell.method, cell.variant, k) for k in levels)
            found[at_init_chain(cell)] = Chain(tuple(prunings), _pruned_at(study, cell.epoch))
    if study.gsm:
        prunings = tuple(map(study.gsm.pruning, study.gsm.levels))
        for method, variant, _ in study.gsm.zeroed():
            chain = gsm_chain(method, variant)
            found[chain] = Chain(prunings, _zeroed(study, method, variant))
    return found


def _pruned_by_mode(study: Study, chain: str) -> Callable[[int | str, int], str]:
    return lambda seed, level: f"{pruned_folder(study.name, seed, chain, level)}/state.safetensors"


def _pruned_at(study: Study, epoch: float) -> Callable[[int | str, int], str]:
    return lambda seed, _: state_at(study, seed, epoch)


def _zeroed(study: Study, method: str, variant: str) -> Callable[[int | str, int], str]:
    return lambda seed, level: (
        f"{zeroed_folder(study.name, seed, method, variant, level)}/state.safetensors"
    )


def pruned_folder(study: str, seed: int | str, chain: str, level: int | str) -> str:
    """The training whose final state a level of a re-training chain prunes."""
    if "/" not in chain or int(level) == 1:
        return dense_folder(study, seed)
    return f"{seed_folder(study, seed)}/{chain}/level{int(level) - 1}"


def at_init_chain(cell: Cell) -> str:
    """The chain that cuts the masks of a cell: a variant that only changes weights has no own."""
    return f"at_init/{cell.method}/{mask_variant(cell.variant)}/{_spell_epoch(cell.epoch)}"


def at_init_folder(study: str, seed: int | str, cell: Cell) -> str:
    """The training of a network that was pruned at initialization, or later."""
    place = f"at_init/{cell.method}/{cell.variant}/{_spell_epoch(cell.epoch)}/level{cell.level}"
    return f"{seed_folder(study, seed)}/{place}"


def state_at(study: Study, seed: int | str, epoch: float) -> str:
    """The dense training's state after some epochs, 0 for the initial one."""
    if epoch >= study.task["recipe"]["epochs"]:
        return f"{dense_folder(study.name, seed)}/state.safetensors"
    return rewind_state(study.name, seed, study.at_init.time(epoch))


def _spell_epoch(epoch: float) -> str:
    return f"e{epoch:g}"


def gsm_chain(method: str, variant: str) -> str:
    """The chain that cuts the masks of a method whose smallest weights are zeroed."""
    return f"gsm/{method}/{variant}"


def gsm_folder(study: str, seed: int | str, method: str, variant: str, level: int | str) -> str:
    """A cell of GSM; method ``training`` is the training itself, before zeroing."""
    return f"{seed_folder(study, seed)}/gsm/{method}/{variant}/level{level}"


def zeroed_folder(study: str, seed: int | str, method: str, variant: str, level: int | str) -> str:
    """The training whose smallest weights are set to zero."""
    if method == MAGNITUDE:
        return dense_folder(study, seed)
    return gsm_folder(study, seed, "training", variant, level)


def sensitivity(study: str, seed: int | str) -> str:
    """Accuracies of one replicate's dense network with single layers pruned."""
    return f"{seed_folder(study, seed)}/gsm/sensitivity.csv"


def rewind_state(study: str, seed: int | str, time: float | str) -> str:
    """The dense training's state ``time`` epochs before its end."""
    return f"{seed_folder(study, seed)}/rewind_states/{_spell(time)}.safetensors"


def algorithm_level(study: Study, seed: int | str, level: int) -> str:
    """The training of one level of Algorithm 1; level 0 is the dense one."""
    if level == 0:
        return dense_folder(study.name, seed)
    algorithm = study.algorithm
    return retrain_folder(
        study.name, seed, algorithm.mode, "lr_rewind", algorithm.retrain_time, level
    )


def algorithm_judgement(study: str, seed: int | str, settings: str, level: int) -> str:
    """How a level of Algorithm 1 was judged, under settings that have this digest."""
    return f"{seed_folder(study, seed)}/algorithm_1/judged/{settings}/level{level}.json"


def algorithm_way(study: str, seed: int | str, settings: str) -> str:
    """The levels Algorithm 1 went through, under settings that have this digest."""
    return f"{seed_folder(study, seed)}/algorithm_1/ways/{settings}.json"


def algorithm_result(study: str, seed: int | str) -> str:
    """The outcome of Algorithm 1 on one replicate."""
    return f"{seed_folder(study, seed)}/algorithm_1/result.json"


@dataclass(frozen=True)
class Family:
    """A part of a study that trains networks of its own.

    Attributes:
        folders: every training, without the dense ones.
        files: every other file that its trainings and prunings are to leave.
    """

    folders: Callable[[Study], Iterator[str]]
    files: Callable[[Study], Iterator[str]]


def _rewinding_folders(study: Study) -> Iterator[str]:
    for seed in study.seeds:
        for cell in study.rewinding.cells() if study.rewinding else ():
            yield retrain_folder(study.name, seed, *cell)


def _rewinding_files(study: Study) -> Iterator[str]:
    for seed in study.seeds:
        for mode, method, time, level in study.rewinding.cells() if study.rewinding else ():
            masks = mask(study.name, seed, cell_chain(study, mode, method, time), level)
            yield from (masks, mask_metadata(masks))
            if rule(method).needs_rewind_state:
                yield rewind_state(study.name, seed, time)


def _at_init_folders(study: Study) -> Iterator[str]:
    for seed in study.seeds:
        for cell in study.at_init.cells if study.at_init else ():
            yield at_init_folder(study.name, seed, cell)


def _at_init_files(study: Study) -> Iterator[str]:
    for seed in study.seeds:
        for cell in study.at_init.cells if study.at_init else ():
            masks = mask(study.name, seed, at_init_chain(cell), cell.level)
            yield from (masks, mask_metadata(masks))
            for epoch in (cell.epoch, study.at_init.trained_epoch(cell)):
                yield state_at(study, seed, epoch)


def _gsm_folders(study: Study) -> Iterator[str]:
    for seed in study.seeds:
        for cells in (study.gsm.zeroed(), study.gsm.ticket_cells()) if study.gsm else ():
            yield from (gsm_folder(study.name, seed, *cell) for cell in cells)


def _gsm_files(study: Study) -> Iterator[str]:
    for seed in study.seeds:
        for cell in study.gsm.trainings() if study.gsm else ():
            folder = gsm_folder(study.name, seed, "training", *cell)
            # Its summary is of no row: the zeroed network's is.
            yield from (f"{folder}/{file}" for file in TRAINING_FILES if file != "summary.json")
        for method, variant, level in study.gsm.zeroed() if study.gsm else ():
            masks = mask(study.name, seed, gsm_chain(method, variant), level)
            yield from (masks, mask_metadata(masks))
        if study.gsm and study.gsm.tickets:
            yield rewind_state(study.name, seed, study.task["recipe"]["epochs"])


# Each family has a table of its own, so that a figure waits for no training that it does not show.
FAMILIES = {
    "rewinding": Family(_rewinding_folders, _rewinding_files),
    "at_init": Family(_at_init_folders, _at_init_files),
    "gsm": Family(_gsm_folders, _gsm_files),
}
TIDY = "tidy"  # the table of all families


def families(table: str) -> list[str]:
    """The families whose trainings a tidy table has."""
    return list(FAMILIES) if table == TIDY else [table]


def training_folders(study: Study, table: str = TIDY) -> Iterator[str]:
    """Every training in a tidy table of a study, dense ones first."""
    for seed in study.seeds:
        yield dense_folder(study.name, seed)
    for family in families(table):
        yield from FAMILIES[family].folders(study)


def training_files(study: Study, table: str = TIDY) -> list[str]:
    """Every file that the trainings in a tidy table, and their prunings, are to leave."""
    folders = training_folders(study, table)
    files = [f"{folder}/{file}" for folder in folders for file in TRAINING_FILES]
    files += [f"{dense_folder(study.name, seed)}/rewind" for seed in study.seeds]
    for family in families(table):
        files += FAMILIES[family].files(study)
    return list(dict.fromkeys(files))


def _at_init_masks(study: Study) -> Iterator[tuple[str, int]]:
    for cell in study.at_init.masks() if study.at_init else ():
        yield at_init_chain(cell), cell.level


def _gsm_masks(study: Study) -> Iterator[tuple[str, int]]:
    for method, variant, level in study.gsm.zeroed() if study.gsm else ():
        yield gsm_chain(method, variant), level


# (chain, level) of every mask that a family's tables of layers and channels are about.
MASKED = {"at_init": _at_init_masks, "gsm": _gsm_masks}


def masks_metadata(study: Study, family: str) -> list[str]:
    """The readable file of every mask of a family, see :data:`MASKED`."""
    cells = list(MASKED[family](study))
    return [
        mask_metadata(mask(study.name, seed, chain, level))
        for seed in study.seeds
        for chain, level in cells
    ]


def _gsm_curves(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    cells = [("training", *cell) for cell in study.gsm.trainings()]
    folders = [gsm_folder(study.name, seed, *c) for c in (*cells, *study.gsm.ticket_cells())]
    for folder in (dense_folder(study.name, seed), *folders):
        yield f"{folder}/summary.json", f"{folder}/metrics.csv"


def _gsm_magnitudes(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    for cell in study.gsm.zeroed():
        folder = gsm_folder(study.name, seed, *cell)
        yield f"{folder}/summary.json", f"{folder}/magnitudes.csv"


def _gsm_sensitivity(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    if study.gsm.sensitivity:
        yield f"{dense_folder(study.name, seed)}/summary.json", sensitivity(study.name, seed)


# (summary, CSV) of every cell that a table is gathered from, of one replicate.
GATHERED = {
    "gsm_curves": _gsm_curves,
    "gsm_magnitudes": _gsm_magnitudes,
    "gsm_sensitivity": _gsm_sensitivity,
}


def gathered(study: Study, name: str) -> list[tuple[str, str]]:
    """(summary, CSV) of every cell that a table is gathered from, see :data:`GATHERED`."""
    return [pair for seed in study.seeds for pair in GATHERED[name](study, seed)]


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
        return int(_repairs_file(product).read_text())
    except (OSError, ValueError):
        return 0


def write_repairs(product: str, count: int) -> None:
    """Write the count down."""
    path = _repairs_file(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{count}\n")


def _repairs_file(product: str) -> Path:
    return Path(RESULTS, ".repairs", product.replace("/", "-"))
