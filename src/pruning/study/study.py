"""A study: data set, network, recipe, seeds and the methods to run, read from a YAML file.

No torch here: Snakemake reads every study each time it starts.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pruning import registry
from pruning.errors import PruningError, unknown
from pruning.study.papers import check_reference
from pruning.study.recipes import check_recipe
from pruning.study.schema import check_document
from pruning.systems.at_init import section as at_init_study
from pruning.systems.at_init.section import AtInit, check_densities
from pruning.systems.gsm import section as gsm_study
from pruning.systems.gsm.section import Gsm
from pruning.systems.rewinding.filter_fractions import FRACTIONS
from pruning.systems.rewinding.rules import RULES

NAME = re.compile("[A-Za-z0-9_]+")
ALGORITHM = "algorithm_1"
STRUCTURED = "structured_"
STRUCTURED_LEVELS = 5  # as published
TIME = re.compile("-?[0-9]+([.][0-9]+)?")  # as paths spell it


@dataclass(frozen=True)
class Mode:
    """One way to go from the dense network to a sparse one, level by level.

    Attributes:
        times: retrain times in epochs by method, keys of
            :data:`pruning.systems.rewinding.rules.RULES`.
        prunings: parameters of the prune stage at level 1, 2, ...; ``kind`` is a key of
            :data:`pruning.registry.PRUNERS`, the rest is its options.
        levels: how many of the prunings a study's grid has.
        chained: whether a level prunes what the level before retrained, or the dense network.
    """

    times: Mapping[str, tuple[float, ...]]
    prunings: tuple[Mapping[str, Any], ...]
    levels: int
    chained: bool


@dataclass(frozen=True)
class Rewinding:
    """The part of a study that compares re-training methods (Renda et al. 2020).

    Attributes:
        modes: by name: ``iterative`` (prune, retrain, prune what was retrained, ...), ``one_shot``
            (prune the dense network straight to each density), ``structured_...`` (one-shot, whole
            filters).
        kept_times: every retrain time of the study, rising: what the dense training keeps states
            for. Also of methods that are not run, so that a study that gains one finds its states.
        data_order: see :func:`pruning.systems.rewinding.method.retrain`.
    """

    modes: Mapping[str, Mode]
    kept_times: tuple[float, ...]
    data_order: str = "fresh"

    def cells(self) -> Iterator[tuple[str, str, float, int]]:
        """Every (mode, method, retrain time, level) of the grid."""
        for name, mode in self.modes.items():
            for method, times in mode.times.items():
                for time in times:
                    for level in range(1, mode.levels + 1):
                        yield name, method, time, level


@dataclass(frozen=True)
class Algorithm:
    """Algorithm 1 of Renda et al. (2020): prune, rewind the learning rate for T, repeat.

    Attributes:
        mode: name of the mode whose chain of lr_rewind at T it follows; the study's own iterative
            one where that prunes the same fraction, so that nothing trains twice.
        definition: that mode, with prunings for at least as far as the algorithm may go.
        max_levels: how far it may go.
        retrain_time: T in epochs.
        tolerance: fall of validation accuracy in percentage points that ends it.
    """

    mode: str
    definition: Mode
    max_levels: int
    retrain_time: float
    tolerance: float


@dataclass(frozen=True)
class Study:
    """A validated study file.

    Attributes:
        name: the file's name without its ending.
        title: for figures.
        seeds: one replicate each.
        task: what the training stages need: dataset, validation, network, recipe, exempt layers;
            plain values, and the part of the study that decides dense training.
        rewinding: None where the study does not compare re-training methods.
        at_init: None where the study does not prune before training.
        gsm: None where the study does not prune by GSM.
        algorithm: how far Algorithm 1 goes on it.
        figure: how its panel is drawn.
        resources: ``mem_mb`` and ``runtime`` (minutes) of one training job.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    task: Mapping[str, Any]
    rewinding: Rewinding | None = None
    at_init: AtInit | None = None
    gsm: Gsm | None = None
    algorithm: Algorithm | None = None
    figure: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The data set's key in the configuration."""
        return self.task["dataset"]

    @property
    def threads(self) -> int:
        """CPU threads of a training job."""
        return self.task["recipe"]["threads"]

    @property
    def kept_times(self) -> tuple[float, ...]:
        """Epochs before the end whose states the dense training keeps, rising."""
        times = set(self.rewinding.kept_times if self.rewinding else ())
        times.update(self.at_init.kept_times() if self.at_init else ())
        if self.gsm and self.gsm.tickets:
            times.add(self.task["recipe"]["epochs"])  # tickets start from the initial state
        return tuple(sorted(times))

    @property
    def modes(self) -> dict[str, Mode]:
        """Every mode that a cell of the study may be in, Algorithm 1's included."""
        modes = dict(self.rewinding.modes) if self.rewinding else {}
        if self.algorithm:
            modes[self.algorithm.mode] = self.algorithm.definition
        return modes

    def code_entries(self) -> list[str]:
        """Registry entries that this study's trainings use, for their code version."""
        recipe, network = self.task["recipe"], self.task["network"]
        return [
            registry.entry("network", network["name"]),
            registry.entry("initialization", network["initialization"]),
            registry.entry("optimizer", recipe["optimizer"]["name"]),
        ]


def load_study(path: Path | str, schema: Path | str) -> Study:
    """Read and check a study file.

    ``extends: <study>`` takes another study beside it as the start; nested keys are merged, and a
    key without a value is taken out.

    Args:
        path: ``config/studies/<study>.yaml``.
        schema: the JSON schema of studies (YAML).

    Raises:
        PruningError: a missing file, a wrong key or value (named, with what is allowed), an
            unknown name, a density outside (0, 1], a retrain time above T.
    """
    path = Path(path)
    document = _read_extended(path, ())
    document = check_document(document, schema, str(path))
    try:
        return _study(path.stem, document)
    except PruningError as error:
        raise PruningError(f"{path}: {error}") from None


def study_names(folder: Path | str) -> list[str]:
    """Names of the studies in a folder."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml"))


def find_study(name: str, folder: Path | str, schema: Path | str) -> Study:
    """The study of this name. Raises like :func:`load_study`, or lists the studies there are."""
    if name not in study_names(folder):
        raise unknown("study", name, study_names(folder))
    return load_study(Path(folder, f"{name}.yaml"), schema)


def _read_extended(path: Path, above: tuple[str, ...]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise PruningError(f"The study file {path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PruningError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(document, dict):
        raise PruningError(f"{path} must hold keys and values, as in config/studies/digits.yaml.")
    base = document.pop("extends", None)
    if base is None:
        return document
    if base in (*above, path.stem):
        raise PruningError(f"{path}: `extends: {base}` goes in a circle.")
    if not path.with_name(f"{base}.yaml").exists():
        raise PruningError(f"{path}: extends: {unknown('study', base, study_names(path.parent))}")
    return _merge(_read_extended(path.with_name(f"{base}.yaml"), (*above, path.stem)), document)


def _merge(base: Any, changes: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    merged = {key: _merge(base.get(key), changes[key]) for key in changes}
    return {key: value for key, value in (base | merged).items() if value is not None}


def _study(name: str, document: dict[str, Any]) -> Study:
    network, recipe = document["network"], document["recipe"]
    registry.entry("network", network["name"])
    registry.entry("initialization", network["initialization"])
    if not NAME.fullmatch(name):
        raise PruningError("a study's file name consists of letters, digits and underscores only.")
    check_recipe(recipe)
    task = {key: document[key] for key in ("dataset", "validation", "network", "recipe", "exempt")}
    if name.startswith("published"):
        raise PruningError(
            "names of studies that begin with `published` are taken. Rename the file."
        )
    rewinding = None
    if "rewinding" in document:
        rewinding = _rewinding(document["rewinding"], network["name"], recipe["epochs"])
    at_init = None
    if "at_init" in document:
        at_init = at_init_study.read(document["at_init"], recipe["epochs"])
    gsm = gsm_study.read(document["gsm"]) if "gsm" in document else None
    _check_figure(document["figure"], rewinding, at_init)
    return Study(
        name=name,
        title=document.get("title", name),
        seeds=tuple(document["seeds"]),
        task=task,
        rewinding=rewinding,
        at_init=at_init,
        gsm=gsm,
        algorithm=_algorithm(document["algorithm"], rewinding, recipe["epochs"]),
        figure=document["figure"],
        resources=document["resources"],
    )


def _check_figure(
    options: dict[str, Any], rewinding: Rewinding | None, at_init: AtInit | None
) -> None:
    for key in ("ylim", "at_init_ylim", "gsm_ylim"):
        low, high = options.get(key, (0, 1))
        if not low < high:
            raise PruningError(f"figure.{key} must rise, it is {options[key]}.")
    if "published" in options:
        check_reference(options["published"])
    there = {
        "retrain_levels": max((m.levels for m in rewinding.modes.values()), default=0)
        if rewinding
        else 0,
        "at_init_levels": len(at_init.densities) if at_init else 0,
    }
    for key, levels in there.items():
        for level in options.get(key, ()):
            if level > levels:
                raise PruningError(f"figure.{key} names level {level}, but the study has {levels}.")


def _rewinding(values: dict[str, Any], network: str, epochs: float) -> Rewinding:
    by_mode = values["methods_by_mode"]
    every = (
        *values["methods"],
        *values["times_by_method"],
        *(m for v in by_mode.values() for m in v),
    )
    for method in every:
        if method not in RULES:
            raise unknown("re-training method", method, RULES)
    whole_filters = {mode for mode in values["modes"] if mode.startswith(STRUCTURED)}
    allowed = {
        "methods_by_mode": set(values["modes"]),
        "levels_by_mode": set(values["modes"]),
        "densities_by_mode": set(values["modes"]) - whole_filters,
        "thinnings": whole_filters,
    }
    for key, modes in allowed.items():
        for mode in values[key]:
            if mode not in modes:
                raise PruningError(
                    f"rewinding.{key} names {mode!r}, which is not among the modes it is for "
                    f"({', '.join(sorted(modes)) or 'none'})."
                )
    registry.entry("score", values["score"])
    kept = set(values["retrain_times"]).union(*values["times_by_method"].values())
    rewinding = Rewinding(
        modes={mode: _mode(mode, values, network) for mode in values["modes"]},
        kept_times=tuple(sorted(kept)),
        data_order=values["data_order"],
    )
    for time in rewinding.kept_times:
        if not TIME.fullmatch(f"{time:g}"):
            raise PruningError(f"retrain time {time:g} must be a plain number of epochs, like 0.5.")
        if not 0 < time <= epochs:
            raise PruningError(
                f"retrain time {time:g} lies outside (0, {epochs:g}]: one cannot rewind "
                "to before the training began. Use at most the recipe's epochs."
            )
    return rewinding


def _mode(name: str, values: dict[str, Any], network: str) -> Mode:
    whole_filters = name.startswith(STRUCTURED)
    prunings = _filters(name, values, network) if whole_filters else _weights(name, values)
    prunings = tuple(prunings)
    methods = values["methods_by_mode"].get(name, values["methods"])
    return Mode(
        times={
            method: tuple(values["times_by_method"].get(method, values["retrain_times"]))
            for method in methods
        },
        prunings=prunings,
        levels=len(prunings),
        chained=name == "iterative",
    )


def _algorithm(values: dict[str, Any], rewinding: Rewinding | None, epochs: float) -> Algorithm:
    density, levels = 1 - values["fraction"], values["max_levels"]
    prunings = tuple(
        {"kind": "weights", "density": density**k, "score": "magnitude", "scope": "global"}
        for k in range(1, levels + 1)
    )
    name, mode = ALGORITHM, Mode({"lr_rewind": (epochs,)}, prunings, 0, chained=True)
    iterative = rewinding.modes.get("iterative") if rewinding else None
    if (
        iterative
        and epochs in iterative.times.get("lr_rewind", ())
        and all(map(_same_pruning, iterative.prunings, prunings))
    ):
        further = prunings[iterative.levels :]
        name, mode = "iterative", replace(iterative, prunings=iterative.prunings + further)
    return Algorithm(name, mode, levels, epochs, values["tolerance"])


def _same_pruning(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two levels remove the same, up to how their density is written down."""
    densities = first.get("density", 0), second.get("density", 0)
    rest = [{k: v for k, v in p.items() if k != "density"} for p in (first, second)]
    return rest[0] == rest[1] and math.isclose(*densities, rel_tol=1e-9)


def _weights(mode: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Unstructured pruning: the density of each level."""
    own = mode in values["densities_by_mode"]
    if not own and ("densities" in values) == ("levels" in values):
        raise PruningError("rewinding needs either `levels` (with `fraction`) or `densities`.")
    densities = values["densities_by_mode"].get(mode, values.get("densities"))
    usual = values["levels"] if densities is None else len(densities)
    levels = values["levels_by_mode"].get(mode, usual)
    if densities is None:
        densities = [(1 - values["fraction"]) ** k for k in range(1, levels + 1)]
    if levels > len(densities):
        raise PruningError(
            f"rewinding wants {levels} levels of {mode}, but lists {len(densities)} densities."
        )
    check_densities(densities, "rewinding")
    options = {"score": values["score"], "scope": values["scope"]}
    for density in densities[:levels]:
        yield {"kind": "weights", "density": density, **options}


def _filters(mode: str, values: dict[str, Any], network: str) -> Iterator[dict[str, Any]]:
    """Structured pruning: which convolutions are thinned out, at each level."""
    thinnings = values["thinnings"].get(mode)
    if thinnings is None:
        table = FRACTIONS.get(network, {})
        if mode not in table:
            raise PruningError(
                f"There is no published {mode} for {network} (there is for "
                f"{', '.join(n for n in FRACTIONS if mode in FRACTIONS[n]) or 'none'}). Say under "
                f"rewinding.thinnings.{mode} which convolutions to thin out."
            )
        thinnings = [asdict(thinning) for thinning in table[mode]]
    thinnings = [{"convs": list(t["convs"]), "fraction": t["fraction"]} for t in thinnings]
    for level in range(1, values["levels_by_mode"].get(mode, STRUCTURED_LEVELS) + 1):
        yield {"kind": "filters", "level": level, "thinnings": thinnings}


def data_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Where source files of data sets are looked for and downloaded to: $PRUNING_DATA."""
    return Path(environment.get("PRUNING_DATA") or "resources/data")
