"""Run campaigns and print what became of every case, in one table."""

import argparse
import hashlib
import os
import shutil
import sys
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaigns import cases, children, configurations, disks, kills, record, reference, replay
from tests.campaigns.outcomes import GOOD, WRONG

# The share of time that each campaign has.
CAMPAIGNS = {
    replay.NAME: (replay.campaign, 0.4),
    kills.RESUME: (kills.resumed, 0.1),
    kills.TRAINING: (kills.trainings, 0.05),
    kills.WORKFLOW: (kills.workflows, 0.15),
    configurations.NAME: (configurations.campaign, 0.2),
    disks.NAME: (disks.campaign, 0.1),
}


def main() -> None:
    """The command line."""
    options = _parser().parse_args()
    folder = options.folder.absolute()
    children.prepare()
    _start_over_where_code_changed(folder, options.project)
    made = (
        reference.adopt(options.project.absolute(), folder / "scratch")
        if options.project
        else reference.make(folder / "reference")
    )
    drawn = [case for name in options.campaign for case in CAMPAIGNS[name][0](made)]
    print(f"{len(drawn)} cases, seed {cases.SEED}", flush=True)
    if options.only:
        drawn = _only(drawn, options.only)
    elif options.sample:
        drawn = _sample(drawn, options.sample)
    tried = _Runner(folder, options, drawn).run()
    print("\n" + record.table(tried))
    wrong = record.ended(tried, WRONG)
    if wrong:
        print(f"\n{len(wrong)} cases end as none should. Again: --only {wrong[0].name}")
    sys.exit(bool(wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="when to stop (30)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="at a time")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="as damage:17; prints all")
    parser.add_argument("--campaign", nargs="+", choices=CAMPAIGNS, default=list(CAMPAIGNS))
    parser.add_argument(
        "--sample", nargs="+", metavar="CAMPAIGN N", help="so many of each campaign that is named"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(".campaigns"), help="for everything; resumed from"
    )
    parser.add_argument(
        "--project", type=Path, help=f"a finished one, run with {reference.KEEP_SCRIPTS}"
    )
    return parser


def _start_over_where_code_changed(folder: Path, project: Path | None) -> None:
    """What was tried is of the code as it was then."""
    digest = hashlib.sha256(str(project).encode())
    for top in ("src", "workflow", "config", "tests/campaigns"):
        for path in sorted((reference.REPOSITORY / top).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(reference.REPOSITORY)).encode())
                digest.update(path.read_bytes())
    stamp = folder / "code"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        for name in ("reference", "scratch"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / "record.jsonl").unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest.hexdigest())


def _only(drawn: list[cases.Case], names: list[str]) -> list[cases.Case]:
    known = {case.name: case for case in drawn}
    for name in names:
        if name not in known:
            sys.exit(f"There is no case {name!r}; there are {len(known)}, as {drawn[0].name}.")
    return [known[name] for name in names]


def _sample(drawn: list[cases.Case], sizes: list[str]) -> list[cases.Case]:
    chosen = []
    for name, size in zip(sizes[::2], sizes[1::2], strict=True):
        own = [case for case in drawn if case.campaign == name]
        chosen += cases.random("sample", name).sample(own, min(int(size), len(own)))
    return chosen


@dataclass
class _Queue:
    """What is left of one campaign, in an order of its own."""

    share: float
    left: deque[cases.Case] = field(default_factory=deque)
    spent: float = 0.0


class _Runner:
    """Runs cases, some at a time, each in a process and a folder of its own."""

    def __init__(self, folder: Path, options: argparse.Namespace, drawn: list[cases.Case]) -> None:
        self.folder, self.options = folder, options
        self.path = folder / "record.jsonl"
        done = {} if options.only else {one.name: one for one in record.read(self.path)}
        self.tried = [done[case.name] for case in drawn if case.name in done]
        self.queues: dict[str, _Queue] = {}
        for case in drawn:
            if case.name not in done:
                share = CAMPAIGNS[case.campaign][1]
                self.queues.setdefault(case.campaign, _Queue(share)).left.append(case)
        for name, queue in self.queues.items():
            shuffled = list(queue.left)
            cases.random("order", name).shuffle(shuffled)
            queue.left = deque(shuffled)
        self.running: dict[int, tuple[cases.Case, int, float]] = {}

    def run(self) -> list[record.Tried]:
        """Until all are done or time is over; what was tried, now and before."""
        ends = time.monotonic() + 60 * self.options.minutes
        while True:
            while len(self.running) < self.options.jobs and time.monotonic() < ends:
                if not self._start():
                    break
            if not self.running:
                return self.tried
            self._wait()

    def _start(self) -> bool:
        queues = [queue for queue in self.queues.values() if queue.left]
        if not queues:
            return False
        queue = min(queues, key=lambda queue: queue.spent / queue.share)
        case = queue.left.popleft()
        slot = min(set(range(self.options.jobs)) - {slot for _, slot, _ in self.running.values()})
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._attempt(case, slot)
        self.running[pid] = case, slot, time.monotonic()
        return True

    def _wait(self) -> None:
        pid, status = os.wait()
        case, _, started = self.running.pop(pid)
        self.queues[case.campaign].spent += time.monotonic() - started
        if status:
            sys.exit(f"The campaign itself failed in {case.name} ({case.label}); see above.")
        one = record.read(self._slip(pid))[0]
        self._slip(pid).unlink()
        if not self.options.only:
            record.add(self.path, one)
        self.tried.append(one)
        if self.options.only or one.outcome not in (None, *GOOD):
            print(f"{one.outcome}: {one.name} {one.label}: {one.why}", flush=True)

    def _slip(self, pid: int) -> Path:
        return self.folder / f"result-{pid}.jsonl"

    def _attempt(self, case: cases.Case, slot: int) -> None:
        """The child of a case. Never returns."""
        code = 1
        try:
            scratch = self.folder / "scratch" / str(slot)
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            started = time.monotonic()
            result = case.attempt(scratch)
            seconds = round(time.monotonic() - started, 2)
            shutil.rmtree(scratch, ignore_errors=True)
            if self.options.only and result is not None:
                print(result.output, flush=True)
            outcome, why = (result.outcome, result.why) if result else (None, "does not apply")
            one = record.Tried(case.name, case.label, outcome, why, seconds)
            record.add(self._slip(os.getpid()), one)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    main()
