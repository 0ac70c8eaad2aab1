"""The campaign of kills: single trainings and whole workflows, killed again and again until done.

What is left at the end must have the bytes of the run that nobody killed.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.campaigns import cases, damage
from tests.campaigns.children import Ended
from tests.campaigns.outcomes import Outcome, Result, differing
from tests.campaigns.reference import REPOSITORY, Job, Reference, make_project, sandbox
from tests.campaigns.replay import halves, judged

TRAINING, RESUME, WORKFLOW = "kill", "resume", "workflow"
TRAININGS = (
    "dense",
    "retrain",
    "at_init",
    "gsm",
    "ticket",
    "search",
    "found",
    "shrink",
    "finetune",
)
EACH = 12  # series of kills of each rule
TWICE = 4  # trainings of one output at once, of each rule
KILLS = 6  # at most, before one is let through
SERIES = 40  # of whole workflows
# Where the workflow is killed, and with what: the group, or Snakemake alone.
SIGNALS = (
    ("SIGKILL to the group", signal.SIGKILL, True),
    ("SIGKILL to Snakemake", signal.SIGKILL, False),
    ("SIGTERM to Snakemake", signal.SIGTERM, False),
    ("SIGTERM to the group", signal.SIGTERM, True),
    ("SIGINT to the group", signal.SIGINT, True),
)
TARGETS = ("results/small/rewinding.csv", "results/small/gsm.csv")
DIES_WITHIN = 20.0  # seconds that what a killed Snakemake started may take to notice


def trainings(reference: Reference) -> list[cases.Case]:
    """Single trainings with a resume file after every epoch, killed at random points."""
    drawn = [
        (f"killed, series {i}: {job.rule} {job.number}", partial(attempt, reference, job, i))
        for i in range(EACH)
        for job in jobs(reference)
    ]
    drawn += [
        (
            f"two at once, series {i}: {job.rule} {job.number}",
            partial(attempt_two, reference, job, i),
        )
        for i in range(TWICE)
        for job in jobs(reference)
    ]
    return cases.numbered(TRAINING, drawn)


def resumed(reference: Reference) -> list[cases.Case]:
    """Trainings that go on from a resume folder in which a file was damaged."""
    drawn = [
        (f"{way}: {name} in the resume folder of {job.rule} {job.number}",
         partial(attempt_resumed, reference, job, name, way))
        for job in jobs(reference)
        for name in ("index.json", "state", "snapshot", "callback")
        for way in _ways(name)
    ]  # fmt: skip
    return cases.numbered(RESUME, drawn)


def workflows(reference: Reference) -> list[cases.Case]:
    """Whole workflows from nothing, interrupted at random points."""
    drawn = [(f"series {i}", partial(attempt_workflow, reference, i)) for i in range(1, SERIES + 1)]
    return cases.numbered(WORKFLOW, drawn)


def jobs(reference: Reference) -> list[Job]:
    """A training of each rule that trains, of the study with every stage."""
    found: dict[str, Job] = {}
    for job in reference.jobs:
        if job.rule in TRAININGS and job.seconds and "/other/" not in job.outputs[0]:
            found.setdefault(job.rule, job)
    return list(found.values())


def save_every_epoch() -> None:
    """In this process: resume files however short an epoch is."""
    from pruning.training.resume import ResumeFile

    offer = ResumeFile.offer

    def always(self: ResumeFile, *arguments: object) -> None:
        self.budget = math.inf
        offer(self, *arguments)

    ResumeFile.offer = always


def attempt(reference: Reference, job: Job, series: int, scratch: Path) -> Result:
    """Kill one training at random points, then let it through."""
    random = cases.random(TRAINING, (job.rule, series))
    with sandbox(reference, scratch, job) as root:
        points = []
        for _ in range(random.randint(1, KILLS)):
            points.append(round(random.uniform(0, 1.2 * max(job.seconds, 0.2)), 3))
            ended = reference.run(job, root, save_every_epoch, kill_after=points[-1])
            if ended.code != -signal.SIGKILL:
                break
        resumes = len(list(root.glob("results/**/*.resume/index.json")))
        ended = reference.run(job, root, save_every_epoch)
        for half in halves(root):  # named after its process: nobody's since that was killed
            (root / half).unlink()
        told = f"killed after {points} s, {resumes} resume folders"
        return _finished(reference, job, root, ended, told, ())


def attempt_two(reference: Reference, job: Job, series: int, scratch: Path) -> Result:
    """Two trainings of one output at once, as when a run goes on that seemed to be dead."""
    random = cases.random(TRAINING, (job.rule, series, "two"))
    with sandbox(reference, scratch, job) as root:
        run = partial(reference.run, job, root, save_every_epoch)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(run)
            time.sleep(random.uniform(0, max(job.seconds, 0.2)))
            second = run()
        results = [_finished(reference, job, root, e, "", ()) for e in (first.result(), second)]
    worst = max(results, key=lambda result: [*Outcome].index(result.outcome))
    # That another one is at work is all that is to be said, and it names no file that is at fault.
    one_done = any(result.outcome is Outcome.SAME for result in results)
    if one_done and worst.outcome is Outcome.VAGUE:
        return Result(Outcome.MESSAGE, worst.why, worst.output)
    return worst


def _finished(
    reference: Reference, job: Job, root: Path, ended: Ended, told: str, names: tuple[str, ...]
) -> Result:
    result = judged(reference, job, root, ended, names)
    left = [str(p.relative_to(root)) for p in root.glob("results/**/*.resume")]
    if result.outcome is Outcome.SAME and left:
        result = Result(Outcome.LEFT, str(left), ended.output)
    return Result(result.outcome, f"{told} {result.why}", result.output)


def _ways(name: str) -> list[str]:
    kinds = {"index.json": "index.json"}
    ways = damage.of(Path(kinds.get(name, "state.safetensors")))
    return [
        way for way in ways if name != "callback" or way in {**damage.BYTES, **damage.SAFETENSORS}
    ]


def attempt_resumed(
    reference: Reference, job: Job, name: str, way: str, scratch: Path
) -> Result | None:
    """Stop a training after its first resume file, damage a file there, and go on.

    Returns:
        None where there is no such file.
    """

    def once() -> None:
        from pruning.training.resume import ResumeFile

        save_every_epoch()
        whole = ResumeFile.offer

        def and_die(self: ResumeFile, *arguments: object) -> None:
            whole(self, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        ResumeFile.offer = and_die

    with sandbox(reference, scratch, job) as root:
        reference.run(job, root, once)
        files = sorted(root.glob(f"results/**/*.resume/{name}*"))
        if not files:
            return None
        path = files[0]
        before = path.read_bytes()
        damage.of(path if name == "index.json" else Path("state.safetensors"))[way](
            path, cases.random(RESUME, (job.rule, name, way))
        )
        if path.is_file() and path.read_bytes() == before:
            return None
        ended = reference.run(job, root)
        return _finished(reference, job, root, ended, path.name, (path.name, path.parent.name))


def attempt_workflow(reference: Reference, series: int, scratch: Path) -> Result:
    """Interrupt a whole workflow some times, then let it through."""
    random = cases.random(WORKFLOW, series)
    root = scratch / "project"
    make_project(root)
    told = []
    for _ in range(random.randint(2, 4)):
        label, signum, group = random.choice(SIGNALS)
        after = round(random.uniform(2, 25), 2)
        told.append(f"{label} after {after} s")
        with _running(root) as process:
            time.sleep(after)
            ended = process.poll() is not None
            _send(process, signum, group)
            left = _survivors(process, root)
        if left:
            return Result(Outcome.LEFT, f"{told}: still running: {left}")
        if ended:
            break
    _run(root, "--unlock")
    run = _run(root)
    if run.returncode:
        return Result(Outcome.TRACEBACK, f"{told}: {run.stdout[-600:]}")
    wanted = [path for job in reference.jobs for path in job.outputs if (root / path).exists()]
    missing = [target for target in TARGETS if not (root / target).exists()]
    other = differing(root, reference.root, wanted) + missing
    if other:
        return Result(Outcome.ACCEPTED, f"{told}: {', '.join(other)}")
    left = [str(path.relative_to(root)) for path in root.glob("results/**/*.resume")]
    return Result(Outcome.LEFT, f"{told}: {left}") if left else Result(Outcome.SAME, str(told))


def _command(*arguments: str) -> list[str]:
    program = Path(sys.executable).with_name("snakemake")
    return [str(program), "--cores", "1", "--rerun-incomplete", *arguments, *TARGETS]


def _environment() -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    environment.pop("SNAKEMAKE_PROFILE", None)
    return environment


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        _command(*arguments), cwd=root, env=_environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@contextlib.contextmanager
def _running(root: Path) -> Iterator[subprocess.Popen]:
    if (root / ".snakemake/locks").exists():
        _run(root, "--unlock")
    process = subprocess.Popen(
        _command(), cwd=root, env=_environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _send(process: subprocess.Popen, signum: int, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process.pid, signum)


def _survivors(process: subprocess.Popen, root: Path) -> list[str]:
    """Command lines of what Snakemake started and what does not end by itself."""
    deadline = time.monotonic() + DIES_WITHIN
    while time.monotonic() < deadline:
        alive = _of_session(process.pid)
        if process.poll() is not None and not alive:
            return []
        time.sleep(0.1)
    return _of_session(process.pid)


def _of_session(session: int) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " ")[:120])
    return found
