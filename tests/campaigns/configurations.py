"""The campaign of wrong configurations: changed study files and config.yaml, through the check.

What the check lets pass goes on into the workflow, whose trainings are cut to a few steps: a study
that the check takes has to run.
"""

import copy
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.campaigns import cases, children
from tests.campaigns.damage import places
from tests.campaigns.outcomes import Outcome, Result, failure
from tests.campaigns.reference import LINKED, REPOSITORY, Reference, snakemake
from tests.campaigns.studies import CONFIGURED

NAME = "configuration"
LIMIT = 30.0  # seconds that the check, or a few steps of everything, may take
ENOUGH = 77  # exit code of a training that has shown that it trains
STUDY, CONFIG = "config/studies/small.yaml", "config/config.yaml"
TABLES = {
    "rewinding": "results/small/rewinding.csv",
    "at_init": "results/small/at_init.csv",
    "gsm": "results/small/gsm.csv",
    "gem_miner": "results/small/gem_miner.csv",
    "prunetrain": "results/small/prunetrain.csv",
    "algorithm": "results/small/algorithm_1.csv",
}

# A rate may be too high for a network: only the training shows that, and says so.
DIVERGED = re.compile("(loss|accuracy) is (nan|-?inf)|no longer a finite number")

Text = str | bytes


@dataclass(frozen=True)
class Mutation:
    """A changed file.

    Attributes:
        file: which one.
        label: what was changed.
        make: its content from what it was.
        names: a clear message has one of them, or the file's name.
        nonsense: no study could mean it, so it must be refused by the check.
        section: of the study; decides what is run.
        targets: what is run instead, and must be refused, if not by the check.
    """

    file: str
    label: str
    make: Callable[[str], Text]
    names: tuple[str, ...] = ()
    nonsense: bool = False
    section: str = ""
    targets: tuple[str, ...] = ()

    @property
    def study(self) -> str:
        """The study that is checked and run."""
        return Path(self.file).stem if self.file != CONFIG else "small"


def campaign(reference: Reference) -> list[cases.Case]:
    """Every key of both files, changed in every way, and texts that are no such files."""
    document = filled()
    config = yaml.safe_load((REPOSITORY / CONFIG).read_text())
    mutations = [
        *of_document(STUDY, document),
        *of_document(CONFIG, config),
        *of_text(STUDY),
        *of_text(CONFIG),
        *known(document),
        *of_names(),
    ]
    drawn = [(f"{m.file}: {m.label}", partial(attempt, reference, m)) for m in mutations]
    return cases.numbered(NAME, drawn)


def filled() -> dict[str, Any]:
    """The study with every default written down, so that every key there is can be changed."""
    from pruning.study.schema import check_document, study_schema

    schema = study_schema(REPOSITORY / "workflow/schemas/study.schema.yaml")
    return check_document(yaml.safe_load(CONFIGURED), schema, STUDY)


# -- changed values ---------------------------------------------------------------------------

NUMBERS = (
    -1, 0, 0.5, 1, 3, 1000, 10**9, 10**18, 2**70, 1e308, 1e-300, -0.0, 0.99999, 1.0000001,
)  # fmt: skip
NO_NUMBERS = (float("nan"), float("inf"), -float("inf"), "x", "", "1e-3", [], {}, [1], {"a": 1})
TEXTS = ("", "nobody", "../config", "/etc/passwd", "a b", "x" * 300, "ünï", "1", "sgd", "a:b", "é")
NO_TEXTS = (float("nan"), 7, 1.5, [], {}, ["x"], {"a": "b"}, True)
LISTS = ([], [0], [-1], [0.5, 0.5], [10**9], [1e308], ["nobody"], list(range(1, 2000)))
NO_LISTS = (float("nan"), "x", 3, {}, {"a": 1}, [None], [[1]], [float("nan")], [float("inf")])
NO_MAPPINGS = ([], "x", 3, float("nan"), [{"a": 1}], True)


def of_document(file: str, document: dict[str, Any]) -> Iterator[Mutation]:
    """Every value of a document replaced by every other, removed, and joined by unknown ones."""
    for place in places(document):
        value = _at(document, place)
        for other, nonsense in _others(value):
            yield _changed(file, document, place, other, nonsense)
        yield _removed(file, document, place)
        if isinstance(value, dict):
            yield _changed(file, document, (*place, "nobody"), 1, file == STUDY)
            yield _changed(file, document, (*place, 7), 1, file == STUDY)


def _others(value: Any) -> Iterator[tuple[Any, bool]]:
    if isinstance(value, bool):
        right, wrong = (not value,), (*NO_NUMBERS, 7, "false", "no", None)
    elif isinstance(value, int | float):
        right, wrong = (*NUMBERS, True, None), NO_NUMBERS
    elif isinstance(value, str):
        right, wrong = (*TEXTS, None), NO_TEXTS
    elif isinstance(value, list):
        right = (*LISTS, [*value, *value], value[::-1], value[:1], None)
        wrong = NO_LISTS
    elif isinstance(value, dict):
        right, wrong = ({}, None), NO_MAPPINGS
    else:
        right, wrong = ((), ())
    # Whether one is wrong is known of these alone: an option of a network may well be a list.
    yield from ((other, False) for other in right)
    yield from ((other, _never(other)) for other in wrong)


def _never(value: Any) -> bool:
    """Numbers that nothing can mean."""
    listed = value if isinstance(value, list) else [value]
    return any(isinstance(v, float) and (v != v or abs(v) == float("inf")) for v in listed)


def _at(document: Any, place: tuple) -> Any:
    for key in place:
        document = document[key]
    return document


def _changed(
    file: str, document: dict, place: tuple, value: Any, nonsense: bool = False
) -> Mutation:
    def make(text: str) -> str:
        changed = copy.deepcopy(document)
        _at(changed, place[:-1])[place[-1]] = value
        return dumped(changed)

    shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:40]}... ({len(repr(value))})"
    said = (value,) if isinstance(value, str) and value else ()
    return _mutation(file, place, f"{dotted(place)} = {shown}", make, nonsense, said)


def _removed(file: str, document: dict, place: tuple) -> Mutation:
    def make(text: str) -> str:
        changed = copy.deepcopy(document)
        del _at(changed, place[:-1])[place[-1]]
        return dumped(changed)

    return _mutation(file, place, f"{dotted(place)} removed", make, False)


def _mutation(
    file: str,
    place: tuple,
    label: str,
    make: Callable[[str], Text],
    nonsense: bool,
    said: tuple[str, ...] = (),
) -> Mutation:
    keys = tuple(key for key in place if isinstance(key, str))
    section = str(place[0]) if file == STUDY else ""
    return Mutation(file, label, make, (*keys[-1:], *said), nonsense, section)


def dotted(place: tuple) -> str:
    """A place as messages have it."""
    return ".".join(map(str, place))


def dumped(document: Any) -> str:
    """A document as YAML: Python's plain values and nothing else."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


# -- what a study author may well write -------------------------------------------------------


def known(document: dict) -> Iterator[Mutation]:
    """Values that went through the check once, and ended elsewhere."""
    optimizer, batches = ("recipe", "optimizer", "options"), ("recipe", "batches")
    network = ("network", "options")
    for place, value in (
        ((*optimizer, "nobody"), 1),
        ((*optimizer, "momentum"), 2),
        ((*optimizer, "nesterov"), "no"),
        ((*optimizer, "nesterov"), [None]),
        ((*optimizer, "betas"), [0.9, 0.99]),
        ((*optimizer, "lr"), 3),
        ((*optimizer, "fused"), False),
        ((*optimizer, "maximize"), True),
        ((*network, "widths"), [0, 16]),
        ((*network, "widths"), {"a": 1}),
        ((*network, "widths"), [10**9, 16]),
        ((*network, "widths"), [4, 8, 16]),
        ((*network, "widths"), [4]),
        ((*network, "nobody"), 1),
        ((*network, "hidden"), 2.5),
        ((*network, "classes"), 3),
        (("network", "name"), "lenet_5"),
        (("network", "name"), "vgg16"),
        (("network", "name"), "resnet20"),
        ((*batches, "crop_padding"), 1000),
        ((*batches, "crop_padding"), 10**9),
        ((*batches, "size"), 10**9),
        ((*batches, "size"), 1353),
        ((*batches, "epoch_boundary"), "drop"),
        ((*batches, "resized_crop"), {"scale": [0.1, 1], "ratio": [0.8, 1.25]}),
        ((*batches, "normalization"), "given"),
        (("recipe", "threads"), 1_000_000),
        (("recipe", "steps"), 10**18),
        (("recipe", "schedule", "warmup"), 1e308),
        (("recipe", "schedule", "milestones"), [2, 99]),
        (("recipe", "schedule", "milestones"), [2, 1]),
        (("recipe", "schedule", "gamma"), float("inf")),
        (("exempt",), ["conv1", "conv2", "fc1", "fc2", "fc3"]),
        (("exempt",), ["nobody"]),
        (("validation",), {"source": "train", "fraction": 0.99999}),
        (("validation",), {"source": "test", "fraction": 0.99999}),
        (("validation",), {"source": "train", "fraction": 0}),
        (("rewinding", "retrain_times"), [1.9999999, 2]),
        (("rewinding", "retrain_times"), [0.0001]),
        (("rewinding", "levels"), 10**6),
        (("algorithm", "max_levels"), 10**9),
        (("at_init", "iterations", "synflow"), 10**9),
        (("at_init", "images_per_class"), 10**9),
        (("seeds",), list(range(100_000))),
        (("seeds",), [2**70]),
        (("seeds",), [0, 0]),
        (("title",), "x" * 10_000),
        (("figure", "gsm_published"), "nobody"),
        (("figure", "at_init_published"), "nobody"),
        (("figure", "published"), "renda2020:nobody"),
    ):
        yield _changed(STUDY, document, place, value, _never(value))
    config = yaml.safe_load((REPOSITORY / CONFIG).read_text())
    for place, value in (
        (("datasets", "digits", "name"), "x"),
        (("datasets", "digits", "root"), "x"),
        (("datasets", "digits", "size"), 4),
        (("datasets", "digits", "grey"), True),
        (("datasets", "digits", "path"), "x"),
        (("datasets", "nobody"), {"kind": "nobody"}),
        (("extensions",), ["nobody.py"]),
        (("extensions",), ["config/config.yaml"]),
        (("study_folder",), "nobody"),
    ):
        yield _changed(CONFIG, config, place, value)


def of_names() -> Iterator[Mutation]:
    """The study under other names, and results that it does not have."""
    for name in ("x" * 100, "x" * 200, "x" * 240, "x" * 250, "my-study", "a b", ".hidden", "ünï",
                 "all", "default", "published_mine", "small.small", "seed0", "data"):  # fmt: skip
        yield Mutation(
            f"config/studies/{name}.yaml", "a study of this name", lambda text: f"{text}\n"
        )
    for target in ("seed99/dense/summary.json", "seed00/dense/summary.json",
                   "seed0/iterative/lr_rewind/t2/level9/summary.json",
                   "seed0/iterative/lr_rewind/t1/level1/summary.json",
                   "seed0/iterative/lr_rewind/t2.0/level1/summary.json",
                   "seed0/iterative/fine_tune/t2/level1/summary.json",
                   "seed0/iterative/nobody/t2/level1/summary.json",
                   "seed0/rewind_states/t2.5.safetensors", "seed0/rewind_states/t9.safetensors",
                   "seed0/at_init/snip/shuffled/e0/level1/summary.json",
                   "seed0/gsm/training/nobody/level1/summary.json",
                   "seed0/prunetrain/prunetrain/unmodified/level2/summary.json"):  # fmt: skip
        path = f"results/small/{target}"
        names = (*target.split("/"), "seed 99", "small")
        yield Mutation(STUDY, f"asked for {path}", lambda text: f"{text}\n", names, targets=(path,))


# -- changed texts ----------------------------------------------------------------------------


def of_text(file: str) -> Iterator[Mutation]:
    """Texts that are no YAML, no UTF-8, too large, or say a thing twice."""
    for label, make, nonsense in (
        ("empty", lambda text: "", True),
        ("a comment only", lambda text: "# nothing\n", True),
        ("a list", lambda text: "- 1\n- 2\n", True),
        ("a number", lambda text: "3\n", True),
        ("latin-1", lambda text: f"# \xe9\n{text}".encode("latin-1"), True),
        ("UTF-16", lambda text: text.encode("utf-16"), False),
        ("a byte order mark", lambda text: text.encode("utf-8-sig"), False),
        ("random bytes", lambda text: Random(1).randbytes(500), True),
        ("zero bytes", lambda text: bytes(500), True),
        ("a zero byte", lambda text: f"{text}\0", True),
        ("a tab", lambda text: f"{text}\n\tx: 1\n", True),
        ("lines of another system", lambda text: text.replace("\n", "\r\n"), False),
        ("two documents", lambda text: f"{text}\n---\na: 1\n", True),
        ("nested 3000 deep", lambda text: f"{text}\nx: {'[' * 3000}{']' * 3000}\n", True),
        ("nested 3000 deep, open", lambda text: f"{text}\nx: {'[' * 3000}\n", True),
        ("a comment of 30 MB", lambda text: f"{text}\n# {'x' * 30_000_000}\n", False),
        ("a text of 5 MB", lambda text: f"{text}\ntitle: {'x y ' * 1_250_000}\n", True),
        ("an alias that holds itself", lambda text: f"{text}\nx: &a [*a]\n", True),
        ("aliases that double", lambda text: f"{text}\n{_laughs()}", True),
        ("a tag of Python", lambda text: f"{text}\nx: !!python/object/apply:os.getpid []\n", True),
        ("an unknown tag", lambda text: f"{text}\nx: !nobody 1\n", True),
        ("a key that is a list", lambda text: f"{text}\n? [1, 2]\n: 3\n", True),
        ("extends ../config", lambda text: f"extends: ../config\n{text}", True),
        ("extends /etc/passwd", lambda text: f"extends: /etc/passwd\n{text}", True),
        ("extends itself", lambda text: f"extends: small\n{text}", True),
        ("extends nobody", lambda text: f"extends: nobody\n{text}", True),
        ("extends a list", lambda text: f"extends: [digits]\n{text}", True),
        ("extends a number", lambda text: f"extends: 7\n{text}", True),
    ):
        yield Mutation(file, label, make, (), nonsense)
    lines = source(file).splitlines()
    random = cases.random(NAME, file)
    for i, line in enumerate(lines):
        if ":" in line and not line.lstrip().startswith(("-", "#")):
            yield Mutation(file, f"line {i + 1} twice", partial(_twice, i), (), True)
    for _ in range(30):
        i = random.randrange(1, len(source(file)))
        yield Mutation(file, f"cut after {i} characters", partial(_cut, i))
    for _ in range(60):
        i, letter = random.randrange(len(source(file))), random.choice(":[]{},-#&*!|>'\"%@` \n0x")
        yield Mutation(file, f"character {i} is {letter!r}", partial(_letter, i, letter))


def _laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return "\n".join(lines) + "\n"


def _twice(i: int, text: str) -> str:
    """A key with a mapping is repeated with all that belongs to it."""
    lines = text.splitlines()
    indent = len(lines[i]) - len(lines[i].lstrip())
    end = i + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return "\n".join([*lines[:end], *lines[i:end], *lines[end:]]) + "\n"


def _cut(i: int, text: str) -> str:
    return text[:i]


def _letter(i: int, letter: str, text: str) -> str:
    return text[:i] + letter + text[i + 1 :]


def source(file: str) -> str:
    """The file that is changed."""
    return CONFIGURED if file == STUDY else (REPOSITORY / CONFIG).read_text()


# -- attempts ---------------------------------------------------------------------------------


def attempt(reference: Reference, mutation: Mutation, scratch: Path) -> Result | None:
    """Write a changed file, check it, and run what the check lets pass.

    Returns:
        None where the change changes nothing.
    """
    text = source(mutation.file)
    changed = mutation.make(text)
    if changed == text:
        return None
    _project(reference, scratch)
    (scratch / mutation.file).parent.mkdir(parents=True, exist_ok=True)
    content = changed if isinstance(changed, bytes) else changed.encode(errors="surrogatepass")
    (scratch / mutation.file).write_bytes(content)
    ended = children.run(partial(_check, mutation.study), scratch, limit=LIMIT)
    failed = failure(ended, "", (*mutation.names, Path(mutation.file).name, mutation.study))
    if failed is not None:
        return failed
    if mutation.nonsense:
        return Result(Outcome.ACCEPTED, "the check takes it", ended.output)
    return _carried_on(scratch, mutation)


def _project(reference: Reference, root: Path) -> None:
    for name in LINKED:
        (root / name).symlink_to(REPOSITORY / name)
    (root / "config/studies").mkdir(parents=True)
    (root / CONFIG).write_text(source(CONFIG))
    (root / STUDY).write_text(CONFIGURED)
    (root / "config/studies/digits.yaml").write_text(
        (REPOSITORY / "config/studies/digits.yaml").read_text()
    )
    data = "results/data/digits.safetensors"
    (root / data).parent.mkdir(parents=True)
    os.link(reference.root / data, root / data)


def _check(study: str) -> None:
    from pruning import cli

    cli.main(["check", study])
    cli.main(["check"])


def _carried_on(root: Path, mutation: Mutation) -> Result:
    """A few steps of all trainings that the change can reach."""
    targets = list(mutation.targets) or [TABLES.get(mutation.section, TABLES["rewinding"])]
    if mutation.section in ("network", "recipe", "exempt", "validation"):
        targets.append(TABLES["at_init"])
    targets = [target.replace("small", mutation.study) for target in targets]
    ended = children.run(partial(_few_steps, targets), root, limit=2 * LIMIT)
    failed = failure(ended, "", mutation.names)
    if failed is None or ended.code == ENOUGH or DIVERGED.search(failed.why):
        if mutation.targets:
            return Result(Outcome.ACCEPTED, "it is made", ended.output)
        return Result(Outcome.RAN, failed.why if failed else "", ended.output)
    if failed.outcome in (Outcome.MESSAGE, Outcome.VAGUE) and not mutation.targets:
        return replace(failed, outcome=Outcome.LATE)
    return failed


def _few_steps(targets: list[str]) -> None:
    cut_trainings()
    snakemake(*targets, "--cores", "1", enough=ENOUGH)


def cut_trainings(batches: int = 2, stretches: int = 8) -> None:
    """In this process: trainings make two steps per epoch, and end after some epochs."""
    from pruning.training import loop

    whole, made = loop._Trainer._steps, []

    def steps(self: Any, stop: int) -> Any:
        made.append(stop)
        if len(made) > stretches:
            print(json.dumps({"stretches": len(made)}))
            sys.exit(ENOUGH)
        losses = whole(self, min(stop, self.done + batches))
        self.done = stop
        return losses

    loop._Trainer._steps = steps
