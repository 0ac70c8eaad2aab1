"""Trying a study out before its first job: in this process, or once per change for Snakemake.

Snakemake reads studies each time it starts and imports no torch. So a process of its own tries out
those that the wanted files are of, and what has passed is remembered by all that it depends on.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data.known import Facts, TextFacts, known_facts, prepared_facts, stand_in
from pruning.errors import PruningError
from pruning.extensions import explained
from pruning.files import digest, read_json, write_json
from pruning.running.code_version import code_version
from pruning.study import places
from pruning.study.study import data_root
from pruning.systems import joined, systems

if TYPE_CHECKING:
    from pruning.study.asks import Workflow
    from pruning.study.study import Study

TRIAL = "pruning.stages.trial"
REFUSED = 3  # exit status


def try_out(workflow: "Workflow", name: str) -> bool:
    """Try a study out in this process.

    Args:
        workflow: the configuration.
        name: of the study.

    Returns:
        Whether it could be: how large its data set is may be known only when that is prepared.

    Raises:
        PruningError: a stage would refuse the study; the message begins with its file.
    """
    study = workflow.study(name)
    try:
        _check_overlays(study)
        return _try_out(study, workflow.dataset_options(study.dataset))
    except PruningError as error:
        raise PruningError(f"{workflow.study_file(name)}: {error}") from error


def _check_overlays(study: "Study") -> None:
    """Published numbers that figures lay over a study."""
    for option, overlay in joined("overlays").items():
        if option in study.figure:
            try:
                overlay(study.figure[option])
            except PruningError as error:
                raise PruningError(f"figure.{option}: {error}") from None


def _try_out(study: "Study", dataset: Mapping[str, Any]) -> bool:
    prepared = Path(places.data_file(study.dataset))
    facts = known_facts(dataset)
    if not prepared.exists() and facts is None:
        _refuse_missing(study.dataset, dataset)
        return False
    from pruning.stages import trial

    with tempfile.TemporaryDirectory(prefix="pruning-trial-") as folder:
        data = prepared
        if not prepared.exists():
            data = Path(folder, "data.safetensors")
            if not stand_in(facts, data, dataset["kind"], study.dataset):
                return False
        trial.try_out(study, data)
    return True


def _refuse_missing(name: str, dataset: Mapping[str, Any]) -> None:
    """Refuse a data set that is neither prepared nor where its options say."""
    path = dataset.get("path")
    if isinstance(path, str) and not Path(data_root(), path).exists():
        raise PruningError(
            f"datasets.{name}.path: there is nothing at {Path(data_root(), path)}. Put the data "
            "set there, set PRUNING_DATA to the folder it is in, or mend the path in "
            "config/config.yaml."
        )


def require(workflow: "Workflow", name: str) -> None:
    """Refuse a study that a stage would refuse; once for each change of it, of its data, of code.

    Nothing is tried out where the environment says ``PRUNING_TRIALS=off``.

    Raises:
        PruningError: see :func:`try_out`.
    """
    if os.environ.get("PRUNING_TRIALS") == "off":
        return
    study = workflow.study(name)
    facts = prepared_facts(places.data_file(study.dataset))
    facts = facts or known_facts(workflow.dataset_options(study.dataset))
    if facts is None:
        _refuse_missing(study.dataset, workflow.dataset_options(study.dataset))
        return  # the first job that knows will refuse it
    file, mark = Path(places.trial_file(name)), _mark(study, facts)
    with contextlib.suppress(PruningError, OSError):
        if read_json(file) == mark:
            return
    told = {"config": workflow.config, "schemas": str(workflow.schemas), "study": name}
    run = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(told),
        capture_output=True,
        encoding="utf-8",
    )
    if run.returncode == REFUSED:
        raise PruningError(run.stdout)
    if run.returncode:  # out of memory, on a machine that trains nothing; or a fault of ours
        last = (run.stderr.strip().splitlines() or [""])[-1]
        print(
            f"Warning: {workflow.study_file(name)} could not be tried out: exit status "
            f"{run.returncode}. {last}",
            file=sys.stderr,
        )
        return
    with contextlib.suppress(PruningError, OSError):
        write_json(file, mark)


def _mark(study: "Study", facts: Facts | TextFacts) -> str:
    """A digest of all that decides whether a study can run."""
    own = [system.trial.rpartition(":")[0] for system in systems() if system.trial]
    given = study.task.get("dense", {}).get("from")
    told = Path(given).stat() if given else None
    return digest(
        {
            "task": study.task,
            "parts": repr(study.parts),
            "figure": study.figure,
            "seeds": study.seeds,
            "data": facts.certain(),
            "file": told and [told.st_size, told.st_mtime_ns],
            "code": code_version(TRIAL, *own, *study.code_entries()),
            "python": sys.version,
        }
    )


def _main() -> None:
    from pruning.study.asks import Workflow

    told = json.load(sys.stdin)
    try:
        try_out(Workflow(told["config"], told["schemas"]), told["study"])
    except Exception as error:
        if (known := explained(error)) is None:
            raise
        print(known, end="")
        sys.exit(REFUSED)


if __name__ == "__main__":
    _main()
