"""The campaign of damaged files: jobs of the undamaged run again, with one input changed."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from tests.campaigns import cases, damage
from tests.campaigns.children import Ended
from tests.campaigns.outcomes import Outcome, Result, differing, failure
from tests.campaigns.reference import ALIKE, Job, Reference, kind, sandbox

NAME = "damage"
FOREIGN = 8  # files of other cells that are put in the place of one


def campaign(reference: Reference) -> list[cases.Case]:
    """Every kind of file that every rule reads, damaged in every way."""
    return cases.numbered(
        NAME,
        [
            (f"{way}: {path}, read by {job.rule} {job.number}",
             partial(attempt, reference, job, path, way))
            for job, path in pairs(reference)
            for way in ways(reference, path)
        ],
    )  # fmt: skip


def pairs(reference: Reference) -> Iterator[tuple[Job, str]]:
    """Jobs, and files that they read: a few of each kind that a rule reads."""
    seen: dict[tuple[str, str], int] = {}
    for job in reference.jobs:
        for path in job.read:
            what = (job.rule, kind(path))
            seen[what] = seen.get(what, 0) + 1
            if seen[what] <= ALIKE:
                yield job, path


def ways(reference: Reference, path: str) -> list[str]:
    """What can happen to a file."""
    others = list(damage.foreign(reference.root, path))
    random = cases.random(NAME, path)
    return [*damage.of(Path(path)), *sorted(random.sample(others, min(FOREIGN, len(others))))]


def attempt(reference: Reference, job: Job, path: str, way: str, scratch: Path) -> Result | None:
    """Replay a job on a copy of the project in which one file was damaged.

    Returns:
        None where the damage changes nothing.
    """
    with sandbox(reference, scratch, job) as root:
        harm = damage.of(Path(path)).get(way) or damage.replace_by(
            reference.root, damage.foreign(reference.root, path)[way]
        )
        if not (root / path).resolve().is_relative_to(root.resolve()):
            raise RuntimeError(f"{path} lies outside the sandbox.")
        harm(root / path, cases.random(NAME, (path, way)))
        if not damage.changed(root, reference.root, path):
            return None
        return judged(reference, job, root, reference.run(job, root), [path])


def judged(
    reference: Reference, job: Job, root: Path, ended: Ended, names: Iterable[str]
) -> Result:
    """What became of a job in a sandbox.

    Args:
        reference: has the right outputs.
        job: which.
        root: the sandbox.
        ended: how the job ended.
        names: what a clear message must name one of.
    """
    failed = failure(ended, log(root, job), names)
    if failed is not None and failed.outcome not in (Outcome.MESSAGE, Outcome.VAGUE):
        return failed
    if left := halves(root):
        return Result(Outcome.LEFT, f"{left} {failed.why if failed else ''}", ended.output)
    if failed is not None:
        return failed
    other = differing(root, reference.root, job.outputs)
    if other:
        return Result(Outcome.ACCEPTED, ", ".join(other), ended.output)
    return Result(Outcome.SAME, "", ended.output)


def log(root: Path, job: Job) -> str:
    """What a job's log says."""
    path = root / job.log
    return path.read_text(errors="replace") if path.is_file() else ""


def halves(root: Path) -> list[str]:
    """Temporary files that were left."""
    return [
        str(path.relative_to(root))
        for top in ("results", "plots", "logs")
        for path in root.glob(f"{top}/**/.*.part")
    ]
