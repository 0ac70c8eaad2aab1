"""What became of a case, and whether two runs gave the same numbers."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.campaigns.children import Ended


class Outcome(StrEnum):
    """How a case ends; in the order of the table's columns."""

    SAME = "same bytes"  # it did not matter: every output is that of the undamaged run
    MESSAGE = "clear message"  # refused in one paragraph that names the file or the key
    RAN = "allowed"  # a configuration that is another study, and trains
    VAGUE = "vague message"  # refused, but the paragraph does not say what is at fault
    LATE = "late message"  # a configuration that the check let pass, refused by a stage
    ACCEPTED = "accepted"  # finished, with other numbers
    TRACEBACK = "traceback"
    HANG = "hang"
    CRASH = "crash"  # killed by a signal of its own making
    LEFT = "left behind"  # half-written files, or processes that train on


GOOD = (Outcome.SAME, Outcome.MESSAGE, Outcome.RAN)
# What must not be at all. The others say too little, or say it too late.
WRONG = (Outcome.ACCEPTED, Outcome.TRACEBACK, Outcome.HANG, Outcome.CRASH, Outcome.LEFT)

RAISED = re.compile(r"[\w.]*(Error|Exception|Interrupt|Stop\w*)\b")

# What differs from run to run, or records where things came from, and decides no number.
UNCOUNTED = ("seconds", "sha256", "versions", "git_commit", "path", "checksum")


@dataclass(frozen=True)
class Result:
    """A case's outcome, the line that explains it, and what was printed."""

    outcome: Outcome
    why: str = ""
    output: str = ""


def tracebacks(text: str) -> bool:
    """Whether a text shows a traceback of Python's."""
    return "Traceback (most recent call last)" in text or "--- Logging error ---" in text


def failure(ended: Ended, log: str, names: Iterable[str]) -> Result | None:
    """The outcome of what did not end well; None if it ended with exit code 0.

    Args:
        ended: the child.
        log: what its log says.
        names: of the files or keys at fault; a clear message has one of them.
    """
    told = ended.output + log
    if ended.hung:
        return Result(Outcome.HANG, where(ended.output), told)
    if ended.code < 0:
        return Result(Outcome.CRASH, f"signal {-ended.code}", told)
    if tracebacks(told):
        return Result(Outcome.TRACEBACK, raised(told), told)
    if ended.code == 0:
        return None
    message = paragraph(told)
    clear = any(name in message for name in names)
    return Result(Outcome.MESSAGE if clear else Outcome.VAGUE, message, told)


def paragraph(text: str) -> str:
    """The message for the user in what a job printed, in one line."""
    start = text.find("Error: ")
    return " ".join(text[max(start, 0) :].split("\n\n")[0].split())[:400]


def raised(text: str) -> str:
    """What a traceback says was raised; of a Snakemake run, in the job."""
    lines = [line for line in text.splitlines() if RAISED.match(line)]
    own = [line for line in lines if not line.startswith(("WorkflowError", "CalledProcessError"))]
    return (own or lines or [""])[-1].strip()[:300]


def where(text: str) -> str:
    """Where a child was at the time limit: the innermost line of this project."""
    frames = re.findall(r'File "\S*/src/(pruning/\S+)", line (\d+) in (\S+)', text)
    return "{} line {} in {}".format(*frames[0]) if frames else text[-200:]


def differing(root: Path, reference: Path, files: Iterable[str]) -> list[str]:
    """Which files of a run do not have the numbers of the undamaged one."""
    return [f for f in files if numbers(root / f) != numbers(reference / f)]


def numbers(path: Path) -> object:
    """What a file says, without what may differ from run to run; None if there is none."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    if path.suffix == ".json":
        try:
            return _counted(json.loads(content))
        except ValueError:
            return content
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        return [{k: v for k, v in row.items() if k not in UNCOUNTED} for row in rows]
    return content


def _counted(value: object) -> object:
    if isinstance(value, dict):
        return {k: _counted(v) for k, v in value.items() if k not in UNCOUNTED}
    return [_counted(v) for v in value] if isinstance(value, list) else value
