"""What campaigns attack: a small project, run once undamaged, and the scripts of all its jobs."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.campaigns import children
from tests.campaigns.outcomes import differing
from tests.campaigns.studies import STUDIES, TARGETS

REPOSITORY = Path(__file__).parents[2]
LINKED = ("workflow", "resources", "src", "Snakefile")  # of the repository, unchanged in a project
KEEP_SCRIPTS = "--skip-script-cleanup"  # of Snakemake
LIMIT = 90.0  # seconds; the longest job takes two, and may wait one minute for a lock
ALIKE = 2  # files of one kind that are damaged for a rule


@dataclass(frozen=True)
class Job:
    """One job of the undamaged run.

    Attributes:
        number: its place in the list of all jobs.
        rule: its rule.
        script: as Snakemake wrote it: with inputs, outputs and parameters.
        inputs: files and folders that it declares.
        outputs: files that it makes.
        log: its log.
        read: files of the project that it opens, declared or not, without its outputs; known of
            some jobs of each kind only.
        seconds: that it takes.
    """

    number: int
    rule: str
    script: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: str
    read: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Reference:
    """A project whose studies are done.

    Attributes:
        root: its folder.
        jobs: all that ran, in an order that does not depend on the run.
    """

    root: Path
    jobs: tuple[Job, ...]

    def run(
        self, job: Job, root: Path, first: Callable[[], None] = lambda: None, **how: Any
    ) -> children.Ended:
        """Run a job in a sandbox.

        Args:
            job: which.
            root: the sandbox.
            first: called in the child before the job's script.
            how: of :func:`tests.campaigns.children.run`.
        """
        script = children.script(self.root / job.script)
        return children.run(lambda: (first(), script()), root, **{"limit": LIMIT, **how})


def make_project(root: Path) -> None:
    """A project with the campaign's studies, in which nothing has run."""
    root.mkdir(parents=True)
    for name in LINKED:
        (root / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "config", root / "config")
    for name, text in STUDIES.items():
        (root / "config" / "studies" / f"{name}.yaml").write_text(text)


def snakemake(*arguments: str, enough: int | None = None) -> None:
    """Run Snakemake in this process, each job in a fork; exits with Snakemake's code.

    Only where the script of a job is started is changed: everything else is Snakemake's own.

    Args:
        arguments: of the command line.
        enough: an exit code of a job with which everything ends.
    """
    from snakemake import cli, script

    root = Path.cwd()

    def execute(self: script.PythonScript, path: str, edit: bool = False) -> None:
        ended = children.run(children.script(Path(path)), root, limit=600)
        sys.stderr.write(ended.output)
        if enough is not None and ended.code == enough:
            os._exit(enough)
        if self.bench_record is not None:
            self.bench_record.running_time, self.bench_record.process_gone = ended.seconds, True
        if ended.code:
            raise subprocess.CalledProcessError(ended.code, path)

    script.PythonScript.execute_script = execute
    cli.main([*arguments])


def make(root: Path) -> Reference:
    """The reference in a folder, made there unless it is there already."""
    if not (root / "done").exists():
        shutil.rmtree(root, ignore_errors=True)
        make_project(root)
        command = [*TARGETS, "--cores", "1", KEEP_SCRIPTS]
        ended = children.run(lambda: snakemake(*command), root, limit=3600)
        if ended.code:
            raise RuntimeError(f"The undamaged run failed:\n{ended.output[-5000:]}")
        (root / "done").touch()
    return adopt(root, root.with_name(f"{root.name}-scratch"))


def adopt(root: Path, scratch: Path) -> Reference:
    """The reference in a project that Snakemake ran with :data:`KEEP_SCRIPTS`.

    Some jobs of each kind run again, to see what they read, and that they repeat.

    Args:
        root: the project.
        scratch: a folder for the repetitions, on the same file system.
    """
    known = root / "jobs.json"
    if not known.exists():
        reference = Reference(root, _jobs(root))
        jobs = [_traced(reference, job, scratch) for job in _some_of_each(reference.jobs)]
        traced = {job.number: job for job in jobs}
        all_jobs = [asdict(traced.get(job.number, job)) for job in reference.jobs]
        known.write_text(json.dumps(all_jobs))
    lists = ("inputs", "outputs", "read")
    jobs = [{k: tuple(v) if k in lists else v for k, v in job.items()}
            for job in json.loads(known.read_text())]  # fmt: skip
    return Reference(root, tuple(Job(**job) for job in jobs))


def _jobs(root: Path) -> tuple[Job, ...]:
    found = {}
    for path in (root / ".snakemake/scripts").glob("*.py"):
        told = _told(path)
        outputs = tuple(file for output in told.output for file in _files(root, str(output)))
        found[told.rule, outputs] = (str(path.relative_to(root)), told)
    return tuple(
        Job(number, rule, path, tuple(map(str, told.input)), outputs, str(told.log[0]))
        for number, ((rule, outputs), (path, told)) in enumerate(sorted(found.items()), 1)
    )


def _told(script: Path) -> Any:
    """What Snakemake hands a script: the first lines that it writes there."""
    preamble = script.read_text().partition("snakemake preamble end")[0]
    namespace: dict[str, Any] = {"__file__": str(script)}
    path = list(sys.path)
    exec(preamble, namespace)
    sys.path[:] = path
    return namespace["snakemake"]


def _files(root: Path, path: str) -> list[str]:
    """A file, or all files of a folder."""
    whole = root / path
    if not whole.is_dir():
        return [path]
    files = (p for p in sorted(whole.rglob("*")) if p.is_file() and p.name[0] != ".")
    return [str(p.relative_to(root)) for p in files]


def _some_of_each(jobs: tuple[Job, ...]) -> Iterator[Job]:
    """Jobs of each rule that differ in what they read and write."""
    seen = set()
    for job in jobs:
        what = (job.rule, *sorted({kind(path) for path in (*job.inputs, *job.outputs)}))
        if what not in seen:
            seen.add(what)
            yield job


def kind(path: str) -> str:
    """What a file is, without its numbers and cell."""
    return re.sub(r"\d+(\.\d+)?|[0-9a-f]{16}", "#", Path(path).name)


def _traced(reference: Reference, job: Job, scratch: Path) -> Job:
    with sandbox(reference, scratch, job) as root:
        ended = reference.run(job, root, trace=True)
        other = differing(root, reference.root, job.outputs)
    if ended.code or other:
        raise RuntimeError(
            f"{job.rule} {job.outputs[0]} does not repeat, undamaged: {other}\n{ended.output}"
        )
    read = [
        path
        for path in ended.read
        if path.split("/")[0] in ("results", "plots")
        and path not in job.outputs
        and (reference.root / path).is_file()
    ]
    return replace(job, read=tuple(read), seconds=round(ended.seconds, 3))


@contextlib.contextmanager
def sandbox(reference: Reference, folder: Path, job: Job, copy: bool = False) -> Iterator[Path]:
    """A copy of a project without what a job makes, gone afterwards.

    Args:
        reference: what to copy.
        folder: where to.
        job: its outputs are missing.
        copy: copy what the job reads instead of linking everything; for other file systems.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*LINKED, "config"):
        (folder / name).symlink_to((reference.root / name).resolve())
    if copy:
        for file in job.read:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(reference.root / file, folder / file)
    else:
        _link_all(reference.root, folder, set(job.outputs))
    try:
        yield folder
    finally:
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                shutil.rmtree(path, ignore_errors=True)


def _link_all(root: Path, folder: Path, without: set[str]) -> None:
    """Hard links to every file but some: files are replaced and never written in place."""
    for top in ("results", "plots"):
        for place, _, names in os.walk(root / top):
            relative = os.path.relpath(place, root)
            target = os.path.join(folder, relative)
            os.makedirs(target, exist_ok=True)
            for name in names:
                if f"{relative}/{name}" not in without:
                    os.link(os.path.join(place, name), os.path.join(target, name))
