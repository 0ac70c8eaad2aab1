"""Where the stages of a study lie under ``results/``. The workflow's only source of paths.

::

    data/<dataset>.safetensors
    <study>/seed<k>/dense/{state.safetensors,state.json,metrics.csv,summary.json,timing.json,rewind/}
    <study>/seed<k>/rewind_states/t<time>.safetensors
    <study>/seed<k>/<one-shot mode>/level<n>/mask.safetensors
    <study>/seed<k>/iterative/<method>/t<time>/level<n>/mask.safetensors
    <study>/seed<k>/<mode>/<method>/t<time>/level<n>/{state.safetensors,...,summary.json}
    <study>/seed<k>/algorithm_1/{network.safetensors,mask.safetensors,levels.csv,result.json}
    <study>/{tidy.csv,algorithm_1.csv}
    published/<paper>/tidy.csv
"""

from collections.abc import Iterator
from pathlib import Path

from pruning.methods.retraining_rules import rule
from pruning.study import Study

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


def pruned_folder(study: str, seed: int | str, chain: str, level: int | str) -> str:
    """The training whose final state a level of a chain prunes."""
    if "/" not in chain or int(level) == 1:
        return dense_folder(study, seed)
    return f"{seed_folder(study, seed)}/{chain}/level{int(level) - 1}"


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


def training_folders(study: Study) -> Iterator[str]:
    """Every training of a study, dense ones first."""
    for seed in study.seeds:
        yield dense_folder(study.name, seed)
    if study.rewinding:
        for seed in study.seeds:
            for cell in study.rewinding.cells():
                yield retrain_folder(study.name, seed, *cell)


def training_files(study: Study) -> list[str]:
    """Every file that a study's trainings and prunings are to leave, without duplicates."""
    files = [f"{folder}/{file}" for folder in training_folders(study) for file in TRAINING_FILES]
    files += [f"{dense_folder(study.name, seed)}/rewind" for seed in study.seeds]
    if study.rewinding:
        for seed in study.seeds:
            for mode, method, time, level in study.rewinding.cells():
                masks = mask(study.name, seed, cell_chain(study, mode, method, time), level)
                files += [masks, mask_metadata(masks)]
                if rule(method).needs_rewind_state:
                    files.append(rewind_state(study.name, seed, time))
    return list(dict.fromkeys(files))


def tidy(study: str) -> str:
    """The study's tidy table."""
    return f"{RESULTS}/{study}/tidy.csv"


def published_tidy(paper: str) -> str:
    """The tidy table of a paper's own results."""
    return f"{RESULTS}/published/{paper}/tidy.csv"


def published_folder(paper: str, network: str | None = None) -> str:
    """Where figures of a paper's own results go."""
    return f"plots/published/{paper}" if network is None else f"plots/published/{paper}/{network}"


def claims_files(folder: str) -> tuple[str, ...]:
    """The claims of a study or paper: the table and the page."""
    return f"{folder}/claims.csv", f"{folder}/claims.md"


def figure_files(stem: str) -> tuple[str, ...]:
    """The files of a figure."""
    return tuple(f"{stem}.{ending}" for ending in ("pdf", "png", "csv"))


def read_repairs(product: str) -> int:
    """The count kept for a product; see :class:`pruning.workflow.Workflow`."""
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
