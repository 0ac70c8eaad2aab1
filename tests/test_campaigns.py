"""What the campaigns are made of: damages, how cases end, the record of what was tried."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.campaigns import cases, children, configurations, damage, disks, record
from tests.campaigns.outcomes import Outcome, differing, failure


def ran(function, folder, limit=20.0, **how):
    return children.run(function, folder, limit=limit, **how)


def test_how_children_end(tmp_path):
    def endless():
        while True:
            time.sleep(0.01)

    def read():
        Path("a").read_text()

    (tmp_path / "a").write_text("x")
    told = ran(lambda: print("ä", os.getcwd()), tmp_path)
    assert (told.code, told.output) == (0, f"ä {tmp_path}\n")
    assert ran(lambda: sys.exit(3), tmp_path).code == 3
    assert ran(lambda: os.kill(os.getpid(), signal.SIGUSR2), tmp_path).code == -signal.SIGUSR2
    assert ran(endless, tmp_path, limit=0.2).hung
    killed = ran(endless, tmp_path, kill_after=0.1)
    assert (killed.code, killed.hung) == (-signal.SIGKILL, False)
    assert "a" in ran(read, tmp_path, trace=True).read
    assert "ZeroDivisionError" in ran(lambda: 1 // 0, tmp_path).output
    assert len(ran(lambda: print("x" * 500_000), tmp_path).output) == 500_001  # more than a pipe


def test_outcomes(tmp_path):
    def outcome(function, *names, log="", limit=20.0):
        failed = failure(ran(function, tmp_path, limit), log, names)
        return failed and failed.outcome

    def refuse():
        print("\nError: results/a.json says nothing. Delete it.\n")
        sys.exit(1)

    assert outcome(lambda: None) is None
    assert outcome(refuse, "results/a.json") is Outcome.MESSAGE
    assert outcome(refuse, "results/b.json") is Outcome.VAGUE
    assert outcome(lambda: 1 // 0, "1") is Outcome.TRACEBACK
    # Also where it went into the log alone, or the job ended well.
    assert outcome(refuse, log="Traceback (most recent call last):") is Outcome.TRACEBACK
    assert outcome(lambda: print("--- Logging error ---")) is Outcome.TRACEBACK
    assert outcome(lambda: os.kill(os.getpid(), signal.SIGUSR2)) is Outcome.CRASH
    assert outcome(lambda: time.sleep(60), limit=0.1) is Outcome.HANG


@pytest.mark.parametrize(
    ("name", "before", "after", "same"),
    [
        ("a.json", '{"a": 1, "seconds": 2}', '{"seconds": 3,\n"a": 1}', True),
        ("a.json", '{"a": 1}', '{"a": 1.0001}', False),
        ("a.json", '{"parents": {"x": {"sha256": "1"}}}', '{"parents": {"y": {}}}', False),
        ("a.csv", "a,seconds\n1,2\n", "a,seconds\n1,3\n", True),
        ("a.csv", "a,b\n1,2\n1,2\n", "a,b\n1,2\n", False),
        ("a.csv", "a,b\n1,2\n", "b,a\n1,2\n", False),
        ("a.safetensors", "x", "y", False),
        ("a.safetensors", "x", None, False),
    ],
)
def test_what_counts_as_the_same_numbers(tmp_path, name, before, after, same):
    for folder, text in (("before", before), ("after", after)):
        (tmp_path / folder).mkdir()
        if text is not None:
            (tmp_path / folder / name).write_text(text)
    found = differing(tmp_path / "after", tmp_path / "before", [name])
    assert found == ([] if same else [name])


def written(folder):
    """A file of each kind."""
    (folder / "data").mkdir(parents=True)
    weight, mask = torch.randn(3, 4), torch.rand(3, 4) < 0.5
    state = {
        "weights/a.weight": weight, "weights/b.weight": -weight, "buffers/n": torch.ones(2),
        "slots/a.weight/momentum_buffer": weight + 1,
        "masks/a.weight": mask, "masks/b.weight": ~mask,
        "generators/cpu": torch.arange(16, dtype=torch.uint8), "step": torch.tensor(3),
    }  # fmt: skip
    save_file(state, folder / "state.safetensors", {"format": "pruning-state-1"})
    save_file({"a": mask, "b": ~mask}, folder / "mask.safetensors", {"format": "m"})
    images = torch.arange(64, dtype=torch.uint8).reshape(4, 4, 2, 2)
    sets = {f"{split}_images": images + i for i, split in enumerate(("train", "test"))}
    sets |= {
        f"{split}_labels": torch.arange(4).roll(i) for i, split in enumerate(("train", "test"))
    }
    told = {"name": "x", "classes": 4, "mean": [0.5], "std": [0.2]}
    save_file(sets, folder / "data/x.safetensors", {"header": json.dumps(told)})
    values = {"study": "s", "seed": 0, "level": 1, "method": "m", "density": 0.5, "test": {"a": 1}}
    (folder / "summary.json").write_text(json.dumps(values))
    (folder / "t.csv").write_text("name,value\n" + "".join(f"n{i},{i}.5\n" for i in range(5)))
    return [p for p in sorted(folder.rglob("*")) if p.is_file()]


def test_every_damage_changes_its_file_and_the_same_each_time_but_no_file_linked_to_it(tmp_path):
    for original in written(tmp_path / "original"):
        before = original.read_bytes()
        for way, harm in damage.of(original).items():
            contents = []
            for _ in range(2):
                path = tmp_path / "copy" / original.relative_to(tmp_path / "original")
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(original, path)
                harm(path, cases.random("test", way))
                whole = path.is_file() and not path.is_symlink()
                contents.append(path.read_bytes() if whole else None)
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            assert contents[0] == contents[1] != before, (original.name, way)
            assert original.read_bytes() == before, (original.name, way)


def test_files_of_other_cells(tmp_path):
    here = "results/s/seed0/m/level1/mask.safetensors"
    changes = (
        ("seed0", "seed1"),
        ("/s/", "/other/"),
        ("level1", "level2"),
        (".safetensors", ".json"),
    )
    for path in (here, *(here.replace(old, new) for old, new in changes)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    found = damage.foreign(tmp_path, here)
    assert set(found) == {"of another seed", "of another study", "of another level",
                          "mask.json in its place"}  # fmt: skip


def test_every_changed_configuration_can_be_written():
    drawn = configurations.campaign(None)
    mutations = [case.attempt.args[1] for case in drawn]
    assert len(mutations) > 4000
    some = (mutation for mutation in mutations[::40])
    texts = [mutation.make(configurations.source(mutation.file)) for mutation in some]
    assert all(isinstance(text, str | bytes) for text in texts)
    assert {m.section for m in mutations} >= set(configurations.TABLES)
    twice = next(m for m in mutations if m.label == "line 3 twice")
    assert twice.make("a:\n  b: 1\nc:\n  d: 2\n").endswith("c:\n  d: 2\nc:\n  d: 2\n")


def test_disks_that_break(tmp_path):
    def write():
        Path("a").write_text("x" * 1000)
        os.replace("a", "b")

    for label, disk in disks.disks():
        if "free" in label or "read-only" in label or "place" in label or "mkdir" in label:
            continue  # of a file system of its own, or of what a job has
        with disk(tmp_path) as begin:
            ended = ran(lambda begin=begin: (begin(), write()), tmp_path)
        late = label.endswith(("2", "4")) or "fsync" in label or "20000" in label or "4096" in label
        assert bool(ended.code) != (late or label.endswith("1000 bytes at most")), label


def test_a_record_is_gone_on_with_after_a_kill(tmp_path):
    path = tmp_path / "record.jsonl"
    tried = [record.Tried("damage:1", "x", Outcome.SAME, "", 1.0),
             record.Tried("damage:2", "y", None, "", 1.0),
             record.Tried("disk:1", "z", Outcome.TRACEBACK, "E", 1.0)]  # fmt: skip
    for one in tried:
        record.add(path, one)
    with open(path, "a") as file:
        file.write('{"name": "disk:2", "la')
    assert record.read(path) == tried
    table = record.table(tried).splitlines()
    assert table[2].startswith("| damage | 1 | 1 |")
    assert table[-1].startswith("| all | 2 | 1 |")
    assert record.ended(tried, [Outcome.TRACEBACK]) == tried[2:]
