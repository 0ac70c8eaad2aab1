"""What a run on a cluster needs besides its profile: a node's part, and why a job ended."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# What Slurm writes into a job's log when it ends the job.
ENDED_BY = {
    "memory": re.compile(r"exceeded memory limit|oom[_-]kill|OOM Killed|Out Of Memory"),
    "time": re.compile(r"DUE TO TIME LIMIT"),
}
RESOURCES = {"memory": ("mem_mb", "MB"), "time": ("runtime", "min")}

SUBMITTED = re.compile(r"^Job (\S+) has been submitted with SLURM jobid \S+ \(log: (.+)\)\.$", re.M)
BLOCK = re.compile(r"^ *(?:local)?(?:rule|checkpoint) (\w+):\n((?: +\S.*(?:\n|\Z))+)", re.M)
FINISHED = re.compile(r"^ *Finished jobid: (\S+)", re.M)
INNERMOST = "Provided cores:"  # only the Snakemake that runs scripts itself says so


@dataclass(frozen=True)
class Stage:
    """A job as Snakemake's log describes it."""

    jobid: str
    rule: str
    wildcards: Mapping[str, str]
    resources: Mapping[str, str]

    def __str__(self) -> str:
        named = [f"{name} {value}" for name, value in self.wildcards.items()]
        return ", ".join([*named, f"rule {self.rule}"])


def runs_group(arguments: list[str]) -> bool:
    """Whether this Snakemake runs the jobs of a group on a node, one after another.

    The Slurm executor has two on the node. The outer one is told an executor and only calls the
    other in a job step. Single jobs are told no group.

    Args:
        arguments: Snakemake's command line.
    """
    return "--local-groupid" in arguments and "--executor" not in arguments


def reasons(logs: Iterable[Path | str], studies: Path | str) -> list[str]:
    """What to raise for jobs that Slurm ended for want of memory or time.

    Args:
        logs: Snakemake's logs of a run that failed. They say where the logs of Slurm are.
        studies: the folder of the study files.

    Returns:
        A paragraph for every stage that was running when its last attempt was ended.
    """
    text = "\n".join(Path(log).read_text("utf-8", "replace") for log in logs)
    found = []
    for job, path in dict(SUBMITTED.findall(text)).items():  # the last attempt of each
        try:
            told = Path(path).read_text("utf-8", "replace")
        except OSError:
            continue  # successful: the executor deletes its log
        for short, pattern in ENDED_BY.items():
            if pattern.search(told):
                stages = _running(told) or [s for s in _stages(text) if s.jobid == job]
                found += [_advice(stage, short, studies) for stage in stages]
                break
    return list(dict.fromkeys(found))


def _advice(stage: Stage, short: str, studies: Path | str) -> str:
    name, unit = RESOURCES[short]
    had = stage.resources.get(name, "")
    said = f"{stage}: out of {short}; its last attempt had {had} {unit}."
    if "study" in stage.wildcards:
        file = Path(studies, f"{stage.wildcards['study']}.yaml")
        return f"{said} Raise `{name}` under `resources` in {file} and repeat the command."
    option = f"--set-resources {stage.rule}:{name}=..."
    return f"{said} Repeat the command with a higher {option}, or write that into the profile."


def _running(log: str) -> list[Stage]:
    """The stages that a job on a node had begun and not finished."""
    _, inside, last = log.rpartition(INNERMOST)
    if not inside:
        return []
    finished = set(FINISHED.findall(last))
    return [stage for stage in _stages(last) if stage.jobid not in finished]


def _stages(log: str) -> Iterator[Stage]:
    for rule, body in BLOCK.findall(log):
        fields = dict(line.strip().partition(": ")[::2] for line in body.splitlines())
        if "resources" in fields:
            yield Stage(
                fields.get("jobid", ""),
                rule,
                _pairs(fields.get("wildcards", "")),
                _pairs(fields["resources"]),
            )


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in text.split(", ") if "=" in pair)
