"""Damaged, foreign and misplaced files of every kind are refused by name where they are read."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from pruning import seals
from pruning.analysis import records
from pruning.analysis.gathering import gather
from pruning.analysis.tidy import read_table, write_table
from pruning.data import store
from pruning.data.splits import load as load_data
from pruning.errors import PruningError
from pruning.files import write_json
from pruning.stages.context import StageContext
from pruning.stages.dense import rewind_state
from pruning.stages.masked import read_mask
from pruning.systems.rewinding import algorithm
from pruning.training import checkpoint, optimizers
from pruning.training.checkpoint import (
    load_masks,
    load_state,
    load_tensors,
    save_masks,
    save_state,
    save_tensors,
)
from pruning.training.recipe import OptimizerConfig
from pruning.training.state import State, capture, load_into, load_slots

SEAL = ("checksum", "place")
PLACE = "results/s/seed0/chain/level1"
STATE = State(
    {"w": torch.tensor([[1.0, -2.0], [0.0, 3.0]]), "b": torch.zeros(2)},
    {"mean": torch.ones(2), "count": torch.tensor(3)},
    {"momentum_buffer/w": torch.ones(2, 2)},
    {"w": torch.tensor([[True, True], [False, True]])},
    step=7,
    generators={"cpu": torch.arange(8, dtype=torch.uint8)},
)
SUMMARY = {
    "network": "n", "data": {"dataset": "d", "images": {"validation": 0, "test": 2}}, "seed": 0,
    "training_time": 1.0, "macs": 3, "training_steps": 1, "training_macs": 3, "metric": "accuracy",
    "method": "m", "variant": "", "level": 1, "density": 0.5,
    "scores": {"validation": {"accuracy": float("nan")}, "test": {"accuracy": 0.5, "loss": 1.5}},
}  # fmt: skip
MASK = {"density": 0.5, "mask_density": 0.5, "kept": 1, "prunable": 2, "macs": 3, "tensors": "x"}
REPORT = {
    "network": "n", "data": {"dataset": "d"}, "seed": 0, "density": 0.5, "effective_density": 0.5,
    "collapsed_layers": 0, "effective_by_layer": {"w": 1}, "kept_by_layer": {"w": 1},
    "prunable_by_layer": {"w": 2}, "kind_by_layer": {"w": "kernel"}, "channel_sparsity": [1, 0],
    "config": {"chain": "a/m/v", "level": 1},
}  # fmt: skip
JUDGED = {
    "level": 1, "density": 0.5, "dense_validation": 1.0, "pruned_validation": 1.0,
    "dense_test": 1.0, "pruned_test": 1.0, "change": 0.0,
}  # fmt: skip
TABLE = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


def images():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6, 2, 2, 1), dtype=np.uint8)
    labels = np.array([0, 1, 0, 1, 0, 1])
    return store.ImageData("d", pixels[:4], labels[:4], pixels[4:], labels[4:], ("a", "b"), "made")


def read_images(path):
    parts = load_data(path)
    return parts.record, parts.train.images.tolist(), parts.test.labels.tolist(), parts.classes


def whole(state):
    return [
        (group, name, tensor.dtype, tensor.tolist())
        for group in checkpoint._GROUPS
        for name, tensor in sorted(getattr(state, group).items())
    ] + [state.step]


def plain(tensors):
    return {name: (tensor.dtype, tensor.tolist()) for name, tensor in tensors.items()}


# By kind: where such a file lies, how it is written, and how it is read.
KINDS = {
    "state": ("state.safetensors", lambda p: save_state(STATE, p), lambda p: whole(load_state(p))),
    "masks": (
        "mask.safetensors",
        lambda p: save_masks(STATE.masks, p),
        lambda p: plain(load_masks(p)),
    ),
    "tensors": (
        "callback.safetensors",
        lambda p: save_tensors(STATE.buffers, p),
        lambda p: plain(load_tensors(p)),
    ),
    "summary": ("summary.json", lambda p: write_json(p, SUMMARY), records.read_summary),
    "timing": ("timing.json", lambda p: write_json(p, {"seconds": 1.5}), records.read_timing),
    "mask facts": ("mask.json", lambda p: write_json(p, MASK), records.read_mask_facts),
    "report": ("report.json", lambda p: write_json(p, REPORT), records.read_report),
    "layers": ("report.json", lambda p: write_json(p, REPORT), records.read_layers),
    "judgement": ("level1.json", lambda p: write_json(p, JUDGED), algorithm.read_judgement),
    "way": (
        "way.json",
        lambda p: write_json(p, {"levels": [JUDGED | {"matches": True}]}),
        algorithm.read_way,
    ),
    "result": ("result.json", lambda p: write_json(p, JUDGED | {"seed": 0}), algorithm.read_result),
    "table": (
        "metrics.csv",
        lambda p: write_table(TABLE, p),
        lambda p: read_table(p, ("a", "b")).to_csv(),
    ),
    "data": ("../../../../data/d.safetensors", lambda p: store.save(images(), p), read_images),
}


def made(kind, root):
    """A whole file of a kind under a project's root, and its reader."""
    name, write, read = KINDS[kind]
    path = Path(root, PLACE, name).resolve()
    write(path)
    return path, read


def same(first, second):
    return repr(first) == repr(second)  # NaN and all


def refuses(read, path, match=None):
    with pytest.raises(PruningError, match=match) as refused:
        read(path)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read_and_repeat_byte_for_byte(kind, tmp_path):
    path, read = made(kind, tmp_path / "one")
    again, _ = made(kind, tmp_path / "two")
    assert path.read_bytes() == again.read_bytes()
    assert same(read(path), read(again))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(kind, tmp_path):
    path, read = made(kind, tmp_path)
    content, right = path.read_bytes(), read(path)
    refused = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found, told = read(path), ""
        except PruningError as error:
            found, told = None, str(error)
            refused += 1
        assert same(found, right) if found is not None else str(path) in told, place
    assert refused > 0.9 * len(content)  # white space of JSON may be another


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(KINDS)), st.data())
def test_damage_of_any_extent_is_refused_or_changes_nothing(tmp_path, kind, data):
    path, read = made(kind, tmp_path)
    content, right = path.read_bytes(), read(path)
    start = data.draw(st.integers(0, len(content) - 1))
    instead = data.draw(st.binary(max_size=40))
    path.write_bytes(content[:start] + instead + content[start + data.draw(st.integers(0, 60)) :])
    try:
        found, told = read(path), ""
    except PruningError as error:
        found, told = None, str(error)
    assert same(found, right) if found is not None else str(path) in told


def _link(path):
    path.unlink()
    path.symlink_to("nowhere")


def _folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "gone": lambda path: path.unlink(),
    "link to nothing": _link,
    "folder": _folder,
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "blank": lambda path: path.write_bytes(b"\n"),
    "twice": lambda path: path.write_bytes(path.read_bytes() * 2),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "letters": lambda path: path.write_text("D" * 500),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\xfa" * 100),
    "UTF-16": lambda path: path.write_bytes('{"a": 1}'.encode("utf-16")),
    "null": lambda path: path.write_text("null"),
    "list": lambda path: path.write_text("[]"),
    "text": lambda path: path.write_text('"x"'),
    "number": lambda path: path.write_text("3"),
    "nothing in it": lambda path: path.write_text("{}"),
    "brackets": lambda path: path.write_text("[" * 100_000),
    "comma": lambda path: path.write_text("a,b\n1,2\n"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_sentence_with_the_file(kind, damage, tmp_path):
    path, read = made(kind, tmp_path)
    DAMAGE[damage](path)
    refuses(read, path)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_so_it_is_where_no_stage_writes(kind, damage, tmp_path):
    name, write, read = KINDS[kind]
    path = tmp_path / Path(name).name
    write(path)
    DAMAGE[damage](path)
    if kind == "table" and damage in ("half", "twice", "comma"):
        assert read(path)  # it is a table, of whom ever
    else:
        refuses(read, path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_cell_is_refused(kind, tmp_path):
    path, read = made(kind, tmp_path)
    other = Path(str(path).replace("seed0", "seed1").replace("d.safe", "e.safe"))
    other.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, other)
    if kind == "table":
        shutil.copy(path.with_name(".metrics.csv.json"), other.with_name(".metrics.csv.json"))
    refuses(read, other, "copied or moved here")
    elsewhere = tmp_path / path.name  # a copy of one's own is nobody's business
    shutil.copy(path, elsewhere)
    assert same(read(elsewhere), read(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_written_outside_is_no_stages(kind, tmp_path):
    path, read = made(kind, tmp_path)
    _, write, _ = KINDS[kind]
    write(tmp_path / path.name)
    shutil.copy(tmp_path / path.name, path)
    if kind == "table":  # the same rows are the same file
        write_table(TABLE.assign(a=2), tmp_path / path.name)
        shutil.copy(tmp_path / path.name, path)
    refuses(read, path, "outside results|not as it was written")


def unsealed(path):
    """The file as an older version, or another program, would have written it."""
    if path.suffix == ".csv":
        path.with_name(f".{path.name}.json").unlink()
    elif path.suffix == ".json":
        told = json.loads(path.read_text())
        path.write_text(json.dumps({k: told[k] for k in told if k not in SEAL}))
    else:
        with safe_open(path, "pt") as file:
            told = dict(file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        ours = json.loads(told.get("pruning_file") or told["dataset"])
        kept = json.dumps({k: ours[k] for k in ours if k not in (*SEAL, "tensors")})
        own = "pruning_file" in told
        save_file(tensors, path, {"format": ours["format"]} if own else {"dataset": kept})


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_an_older_version_are_read_outside_results_only(kind, tmp_path):
    path, read = made(kind, tmp_path)
    right = read(path)
    unsealed(path)
    refuses(read, path, "has no checksum")
    shutil.copy(path, tmp_path / path.name)
    assert same(read(tmp_path / path.name), right)


def test_an_edited_table_says_what_to_do(tmp_path):
    path, read = made("table", tmp_path)
    path.write_text(path.read_text().replace("2", "4"))
    refuses(read, path, "was edited. Delete it; the next run makes it again")
    write_table(TABLE, path)
    for damage in ("half", "null", "nothing in it", "folder"):
        DAMAGE[damage](path.with_name(".metrics.csv.json"))
        refuses(read, path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_lies_beside_a_studys_table_is_checked_too(damage, tmp_path):
    path = tmp_path / "results/s/tidy.csv"
    write_table(TABLE, path)
    DAMAGE[damage](path.with_name(".tidy.csv.json"))
    with pytest.raises(PruningError, match="tidy.csv"):
        read_table(path, ("a",))


def test_a_table_of_another_study_is_refused(tmp_path):
    path, other = (tmp_path / f"results/{study}/tidy.csv" for study in "st")
    write_table(TABLE, path, cells=3)
    other.parent.mkdir()
    for name in ("tidy.csv", ".tidy.csv.json"):
        shutil.copy(path.with_name(name), other.with_name(name))
    with pytest.raises(PruningError, match="copied or moved here"):
        read_table(other, ("a",), cells=3)


def test_a_table_of_another_number_of_cells_is_refused(tmp_path):
    path = tmp_path / "results/s/tidy.csv"
    write_table(TABLE, path, cells=3)
    assert len(read_table(path, ("a",), cells=3)) == 3
    assert len(read_table(path, ("a",))) == 3
    refuses(lambda p: read_table(p, ("a",), cells=4), path, "of 3 cells, and the study has 4")


def test_places():
    assert seals.place("results/s/seed0/dense/x.json") == "s/seed0/dense/x.json"
    assert seals.place("/a/results/b/results/s/t.csv") == "s/t.csv"
    assert seals.place("results/data/d.safetensors") == "data/d.safetensors"
    for free in ("results/mine.json", "results/s/x.safetensors", "s/seed0/a.json", "plots/a.csv"):
        assert seals.place(free) is None


# -- values ---------------------------------------------------------------------------------------

WRONG = {
    ("scores", "test", "accuracy"): (float("nan"), float("inf"), 1.01, -0.1, "x", None, True, [1]),
    ("scores", "test", "loss"): (float("nan"), float("-inf"), "1"),
    ("scores", "test"): (None, 3, []),
    ("scores", "validation", "accuracy"): (2.0, "x"),
    ("scores",): (None, []),
    ("density",): (-1, 0, 1.5, "0.5", float("nan")),
    ("seed",): (-1, "0", 1.5, None, True),
    ("level",): (-1, "1"),
    ("macs",): (float("inf"), -1, None),
    ("training_steps",): (1.5, None, "1"),
    ("training_macs",): (float("nan"), None),
    ("training_time",): (None, "1"),
    ("network",): (None, 3, ""),
    ("data",): (None, [], {}, {"dataset": 3}),
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_summaries_that_cannot_be_true_are_refused(key, value, tmp_path):
    summary = json.loads(json.dumps(SUMMARY))
    at = summary
    for name in key[:-1]:
        at = at[name]
    at[key[-1]] = value
    path = tmp_path / PLACE / "summary.json"
    write_json(path, summary)  # with a checksum that is right
    refuses(records.read_summary, path, key[-1])


def test_scores_are_missing_only_where_there_is_no_example(tmp_path):
    path = tmp_path / "summary.json"
    for images in ({"validation": 0, "test": 2}, {}, {"validation": 0}, 3):
        write_json(path, {**SUMMARY, "data": {"dataset": "d", "images": images}})
        records.read_summary(path)
    write_json(path, {**SUMMARY, "data": {"dataset": "d", "images": {"validation": 2, "test": 2}}})
    refuses(records.read_summary, path, "validation: accuracy")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("group", ["weights", "slots"])
def test_states_with_numbers_that_are_not_finite_are_refused(group, value, tmp_path):
    tensors = {n: t.clone() for n, t in getattr(STATE, group).items()}
    next(iter(tensors.values()))[1, 1] = value
    save_state(replace(STATE, **{group: tensors}), tmp_path / "s.safetensors")
    refuses(load_state, tmp_path / "s.safetensors", f"not finite.*{group}/")


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2))
        self.register_buffer("mask", torch.tensor([0.0, float("-inf")]))


def test_infinite_buffers_are_the_networks_own_or_refused(tmp_path):
    save_state(capture(Attention()), tmp_path / "s.safetensors")
    load_into(Attention(), load_state(tmp_path / "s.safetensors"))
    other = State({"w": torch.zeros(2)}, {"mask": torch.tensor([float("-inf"), 0.0])})
    with pytest.raises(PruningError, match="infinite numbers, in buffers/mask"):
        load_into(Attention(), other)
    nan = State({"w": torch.zeros(2)}, {"mask": torch.tensor([float("nan"), 0.0])})
    save_state(nan, tmp_path / "s.safetensors")
    refuses(load_state, tmp_path / "s.safetensors", "buffers/mask")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32])
def test_weights_of_another_type_are_refused_with_their_file(dtype, tmp_path):
    module = nn.Linear(2, 2)
    state = capture(module)
    other = replace(state, weights={n: w.to(dtype) for n, w in state.weights.items()})
    save_state(other, tmp_path / "s.safetensors")
    with pytest.raises(PruningError, match=r"s\.safetensors is of another network.*float32"):
        load_into(module, load_state(tmp_path / "s.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        {"step": None},
        {"step": torch.tensor([1, 2])},
        {"step": torch.tensor(1.5)},
        {"others/x": torch.zeros(1)},
        {"x": torch.zeros(1)},
        {"weights/": torch.zeros(1)},
        {"masks/w": torch.ones(2, 2)},
        {"masks/w": torch.ones(3, dtype=torch.bool)},
        {"masks/other": torch.ones(2, dtype=torch.bool)},
    ],
)
def test_what_is_no_state_is_refused(change, tmp_path):
    save_state(STATE, tmp_path / "s.safetensors")
    tensors = checkpoint._load(tmp_path / "s.safetensors", checkpoint.FORMAT, "state") | change
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    checkpoint._save(tensors, tmp_path / "s.safetensors", checkpoint.FORMAT)
    refuses(load_state, tmp_path / "s.safetensors", "not a state of this project")


# -- optimizers -----------------------------------------------------------------------------------


def trained(config):
    """A network after a step, and a fresh one with its optimizer."""
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2))
        made.append((module, optimizers.make(config, module)))
    module, optimizer = made[0]
    module(torch.ones(1, 2, 3, 3)).square().sum().backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    return capture(module, optimizer), *made[1]


CONFIGS = {
    "sgd": OptimizerConfig("sgd", 5e-4, (), {"momentum": 0.9}),
    "adam": OptimizerConfig("adam", 0.0, (), {}),
    "gsm": OptimizerConfig("gsm", 0.0, (), {"momentum": 0.9, "density": 0.5, "reselect": False}),
}
SPOILED = {
    "flat": lambda t: t.flatten()[:1],
    "first of each": lambda t: t[:1],
    "larger": lambda t: torch.cat([t, t]),
    "one number": lambda t: t.sum(),
    "type": lambda t: t.double(),
    "whole numbers": lambda t: t.to(torch.int32),
}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("name", CONFIGS)
def test_slots_that_are_not_the_optimizers_are_refused(name, spoil):
    state, module, optimizer = trained(CONFIGS[name])
    load_slots(optimizer, module, state.slots)
    every = {k: SPOILED[spoil](t) for k, t in state.slots.items() if not k.startswith("step/")}
    for spoiled in [every, *({key: tensor} for key, tensor in every.items())]:
        _, module, optimizer = trained(CONFIGS[name])
        with pytest.raises(PruningError, match="optimizer slot"):
            load_slots(optimizer, module, {**state.slots, **spoiled})


def test_a_missing_slot_is_refused_and_a_parameter_without_any_starts_afresh():
    state, module, optimizer = trained(CONFIGS["adam"])
    key = "exp_avg_sq/0.weight"
    with pytest.raises(PruningError, match=f"{key} as missing"):
        load_slots(optimizer, module, {k: t for k, t in state.slots.items() if k != key})
    for config in CONFIGS.values():
        state, module, optimizer = trained(config)
        rest = {k: t for k, t in state.slots.items() if not k.endswith("/0.weight")}
        load_slots(optimizer, module, rest)
        module(torch.ones(1, 2, 3, 3)).sum().backward()
        optimizer.step()  # a fused kernel takes slots of all or of none


# -- what belongs together ------------------------------------------------------------------------


@pytest.fixture
def cut(make_task, tmp_path):
    """A task, and a mask of its network with its readable file."""
    task = make_task("mlp")
    weights = task.initial_state(0).weights
    masks = {name: weights[name] > 0 for name in task.prunable()}
    path = tmp_path / PLACE / "mask.safetensors"

    def write(masks, told=None):
        checksum = save_masks(masks, path)
        kept = sum(int(mask.sum()) for mask in masks.values())
        facts = {**MASK, "kept": kept, "tensors": checksum, **(told or {})}
        write_json(path.with_suffix(".json"), facts)

    write(masks)
    return task, masks, path, write


def test_a_mask_is_the_one_that_its_readable_file_describes(cut):
    task, masks, path, write = cut
    assert read_mask(task, path)[1]["kept"] == sum(int(m.sum()) for m in masks.values())
    moved = {name: mask.flip(0) for name, mask in masks.items()}  # as many are kept
    for other in (moved, {n: torch.ones_like(m) for n, m in masks.items()}, {}):
        save_masks(other, path)
        refuses(lambda p: read_mask(task, p), path, "was replaced by another")
    write(masks, {"kept": 3})
    refuses(lambda p: read_mask(task, p), path, "says 3")


def test_a_mask_of_another_network_is_refused_with_its_file(cut):
    task, masks, path, write = cut
    name = next(iter(masks))
    for other in ({**masks, "other.weight": torch.ones(2) > 0}, {**masks, name: masks[name][:1]}):
        write(other)
        refuses(lambda p: read_mask(task, p), path, "of another network")


def test_a_copy_stage_reads_what_it_copies_and_names_the_source(tmp_path):
    source = tmp_path / "results/s/seed0/dense/rewind/t8.safetensors"
    copy = tmp_path / "results/s/seed0/rewind_states/t8.safetensors"
    context = StageContext("s", 0, {}, "v")
    save_state(STATE, source)
    rewind_state(context, "no data", source.parent, 8.0, copy)
    assert whole(load_state(copy)) == whole(STATE)
    copy.unlink()
    content = source.read_bytes()
    for spoiled in (content[:200], content[:-1] + b"\7", b"", bytes(len(content))):
        source.write_bytes(spoiled)
        refuses(lambda p: rewind_state(context, "no data", p.parent, 8.0, copy), source)
        assert not copy.exists()
    save_state(STATE, source.with_name("t4.safetensors"))
    shutil.move(source.with_name("t4.safetensors"), source)
    refuses(lambda p: rewind_state(context, "no data", p.parent, 8.0, copy), source, "t4")


def test_gathering_takes_no_text_for_a_table(tmp_path):
    folder = tmp_path / PLACE
    write_json(folder / "summary.json", SUMMARY)
    for path in (folder / "rows.csv", tmp_path / "rows.csv"):
        for text in ("D" * 500, "{}\n", "method\nx\n", ""):
            path.write_text(text)
            cells = [(folder / "summary.json", path)]
            with pytest.raises(PruningError, match=str(path)):
                gather("s", cells, ("method", "epoch", "test_score"))


def test_data_that_no_training_could_use_is_refused_when_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "d.safetensors"
    good, check = images(), store.ImageData.check
    for change in (
        {"train_labels": np.array([0, 1, 0, 77])},
        {"test_labels": np.array([-1, 0])},
        {"train_labels": np.array([0, 1])},
        {"test_images": good.test_images[:0], "test_labels": good.test_labels[:0]},
        {"train_images": good.train_images * 0},
        {"classes": ()},
    ):
        monkeypatch.setattr(store.ImageData, "check", lambda data: None)
        store.save(replace(good, **change), path)
        monkeypatch.setattr(store.ImageData, "check", check)
        refuses(read_images, path)


def test_a_mask_cut_from_another_state_is_refused(cut):
    task, masks, path, write = cut
    state = path.with_name("state.safetensors")
    save_state(STATE, state)
    write(masks, {"parents": {"state": {"sha256": checkpoint.input_sha256(state)}}})
    read_mask(task, path, cut_from=state)
    save_state(replace(STATE, step=8), state)
    refuses(lambda p: read_mask(task, p, cut_from=state), path, "cut from another state")
