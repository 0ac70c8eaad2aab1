"""A study: data set, network, recipe, seeds and the methods to run, read from a YAML file.

No torch here: Snakemake reads every study each time it starts.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pruning import registry
from pruning.data.validation import Validation
from pruning.errors import PruningError, unknown
from pruning.files import plain
from pruning.models.config import NetworkConfig
from pruning.study.documents import read_document
from pruning.study.recipes import complete_recipe
from pruning.study.schema import check_document, study_schema
from pruning.systems import systems

NAME = re.compile("[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Study:
    """A validated study file.

    Attributes:
        name: the file's name without its ending.
        title: for figures.
        seeds: one replicate each.
        task: what the training stages need: kind of task, dataset, validation, network, recipe,
            exempt and prunable weights; plain values, and the part of the study that decides dense
            training.
        parts: what systems read from their sections, by the section's name; sections that the file
            does not have are left out.
        figure: how its panel is drawn.
        resources: ``mem_mb`` and ``runtime`` (minutes) of one training job, and
            ``loader_workers`` where the study says how many processes read its pictures.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    task: Mapping[str, Any]
    parts: Mapping[str, Any] = field(default_factory=dict)
    figure: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The data set's key in the configuration."""
        return self.task["dataset"]

    @property
    def threads(self) -> int:
        """CPU threads of a training, of each of its processes."""
        return self.task["recipe"]["threads"]

    @property
    def processes(self) -> int:
        """How many processes each training has."""
        return self.task["recipe"]["processes"]

    @property
    def given(self) -> bool:
        """Whether the dense network is from a file instead of trained: ``task`` then has ``dense``,
        the file's path and the names that differ."""
        return "dense" in self.task

    @property
    def kept_times(self) -> tuple[float, ...]:
        """Epochs before the end whose states the dense training keeps, rising."""
        return tuple(sorted({time for system in systems() for time in system.dense_times(self)}))

    def part(self, section: str) -> Any:
        """What a system reads from a section.

        Raises:
            PruningError: the study has no such section.
        """
        if section not in self.parts:
            raise PruningError(f"Study {self.name!r} has no `{section}` section.")
        return self.parts[section]

    def code_entries(self) -> list[str]:
        """Registry entries that this study's trainings use, for their code version."""
        recipe, network = self.task["recipe"], self.task["network"]
        return [
            registry.entry("task kind", self.task["kind"]),
            *registry.code_entries("network", network["name"]),
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
    document = check_document(document, study_schema(schema), str(path))
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
    document = read_document(path)
    if not isinstance(document, dict):
        raise PruningError(f"{path} must hold keys and values, as in config/studies/digits.yaml.")
    base = document.pop("extends", None)
    if base is None:
        return document
    if base in (*above, path.stem):
        raise PruningError(f"{path}: `extends: {base}` goes in a circle.")
    if base not in study_names(path.parent):
        raise PruningError(f"{path}: extends: {unknown('study', base, study_names(path.parent))}")
    return _merge(_read_extended(path.with_name(f"{base}.yaml"), (*above, path.stem)), document)


def _merge(base: Any, changes: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    merged = {key: _merge(base.get(key), changes[key]) for key in changes}
    return {key: value for key, value in (base | merged).items() if value is not None}


def _study(name: str, document: dict[str, Any]) -> Study:
    network = document["network"] = plain(NetworkConfig(**document["network"]))
    document["validation"] = plain(Validation(**document["validation"]))
    document["task"] = registry.reference("task kind", document["task"])
    network["options"] = registry.checked_options(
        "network", network["name"], network["options"], "network.options"
    )
    # Before anything is made of them: stages are told where code from outside is, not its name.
    for key, kind in (("name", "network"), ("initialization", "initialization")):
        network[key] = registry.reference(kind, network[key])
    if not NAME.fullmatch(name):
        raise PruningError("a study's file name consists of letters, digits and underscores only.")
    document["recipe"] = complete_recipe(document["recipe"])
    keys = ("dataset", "validation", "network", "recipe", "exempt")
    task = {"kind": document["task"], **{key: document[key] for key in keys}}
    if document["prunable"]:  # left out where it says nothing, so that older results stay
        task["prunable"] = document["prunable"]
    if name.startswith("published"):
        raise PruningError(
            "names of studies that begin with `published` are taken. Rename the file."
        )
    if "dense" in document:
        task["dense"] = _given(document["dense"])
    parts: dict[str, Any] = {}
    for system in systems():
        for section in system.sections:
            if section.name in document:
                parts[section.name] = section.read(document[section.name], document, parts)
    _check_figure(document["figure"], parts)
    study = Study(
        name=name,
        title=document.get("title", name),
        seeds=tuple(document["seeds"]),
        task=task,
        parts=parts,
        figure=document["figure"],
        resources=document["resources"],
    )
    if study.given:
        _check_needs(study)
    return study


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Where the dense network is from, checked as far as that needs no look into the file."""
    path, keys = values["from"], values["keys"]
    if not Path(path).is_file():
        raise PruningError(f"dense.from: there is no file {path} in {Path.cwd()}.")
    for name, new in keys.items():
        if not isinstance(name, str) or not isinstance(new, str):
            raise PruningError(
                f"dense.keys: {name!r}: {new!r} must be two names. Put each in quotation marks."
            )
        beginning = not name or name.endswith(".")
        if beginning != (not new or new.endswith(".")):
            raise PruningError(
                f"dense.keys has {name!r}: {new!r}. Beginnings of names end in a dot or are empty, "
                "both of them; a whole name stands for a whole name."
            )
    return {"from": path, "keys": dict(keys)}


def _check_needs(study: Study) -> None:
    """Refuse what only a training has, where the dense network is from a file."""
    found: dict[str, dict[str, None]] = {}
    for system in systems():
        for need in system.needs(study):
            found.setdefault(need.what, {})[need.by] = None
    if found:
        told = "; ".join(f"no {what}, for {', '.join(by)}" for what, by in found.items())
        raise PruningError(
            f"the study starts from {study.task['dense']['from']} (`dense`) and not from a "
            f"training. There is {told}. Take these out, or `dense`."
        )


def _check_figure(options: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if key.endswith("ylim") and not value[0] < value[1]:
            raise PruningError(f"figure.{key} must rise, it is {value}.")
    for system in systems():
        system.check_figure(options, parts)


def data_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Where source files of data sets are looked for and downloaded to: $PRUNING_DATA."""
    return Path(environment.get("PRUNING_DATA") or "resources/data")
