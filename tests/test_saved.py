"""A dense network from a file: weights of other programs, read, refused, and gone on from."""

import os
import re
import shutil
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import save_file, save_model
from torch import nn

from pruning import cli
from pruning.errors import PruningError
from pruning.files import read_json
from pruning.registry import find
from pruning.stages.context import StageContext
from pruning.stages.dense import dense
from pruning.stages.prune import prune
from pruning.study.asks import Workflow
from pruning.study.places import training_files
from pruning.study.planning import describe, plan
from pruning.study.study import load_study
from pruning.systems.at_init.stages.train import at_init
from pruning.systems.gsm.stages.training import gsm
from pruning.systems.prunetrain.stages.shrink import shrink
from pruning.systems.rewinding.rules import RULES
from pruning.systems.rewinding.stages.retrain import retrain
from pruning.training.checkpoint import load_state, save_state
from pruning.training.saved import fit, read_saved
from pruning.training.state import capture
from tests.conftest import REPOSITORY, SCHEMAS

DIGITS = REPOSITORY / "config" / "studies" / "digits.yaml"


class Small(nn.Module):
    """A convolution, a normalization and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 10)


class Tied(nn.Module):
    """One weight in two layers, a mask that is infinite by design, a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("causal", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("steps", torch.arange(3), persistent=False)


@pytest.fixture
def module():
    return Small()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def weights(module):
    return OrderedDict((k, v.clone()) for k, v in module.state_dict().items())


def save(tensors, path, way):
    if way == "safetensors":
        save_file(dict(tensors), path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=way == "zip")


def assert_equal(state, module):
    own = module.state_dict()
    found = {**state.weights, **state.buffers}
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)


@pytest.mark.parametrize("way", ["safetensors", "zip", "pickle"])
def test_weights_are_read_whatever_the_file_is_called(module, tmp_path, way):
    save(weights(module), tmp_path / "net.bin", way)
    found = fit(read_saved(tmp_path / "net.bin"), Small(), step=7)
    assert_equal(found.state, module)
    assert (found.state.step, found.state.slots, found.state.masks) == (7, {}, {})
    assert (found.converted, found.counted) == ({}, False)


@pytest.mark.parametrize("entry", ["state_dict", "model", "generator"])
def test_the_only_state_dict_of_a_checkpoint_is_taken(module, tmp_path, entry):
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({entry: weights(module), "optimizer": optimizer, "epoch": 3}, tmp_path / "a.pth")
    saved = read_saved(tmp_path / "a.pth")
    assert (saved.inside, saved.beside) == (entry, ("optimizer", "epoch"))
    assert_equal(fit(saved, module).state, module)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m, r"more than tensors and plain values \(.*Small.*state_dict\(\)"),
        (lambda m: {"model": m, "epoch": 1}, "more than tensors"),
        (lambda m: {"model": weights(m), "ema": weights(m)}, r"several state_dicts \(model, ema\)"),
        (lambda m: {"epoch": 3, "args": {"lr": 0.1}}, "no state_dict among its entries: epoch"),
        (lambda m: {**weights(m), "epoch": 3}, "no named tensors beside its tensors: epoch"),
        (lambda m: {0: torch.ones(2)}, "no named tensors beside its tensors: 0"),
        (lambda m: list(weights(m).values()), "holds a list and no state_dict"),
        (lambda m: torch.ones(3), "holds a Tensor and no state_dict"),
        (lambda m: {}, "no state_dict"),
    ],
    ids=["module", "in-a-dict", "two", "none", "beside", "numbers", "list", "tensor", "empty"],
)
def test_what_is_no_state_dict_is_refused(module, tmp_path, make, message):
    torch.save(make(module), tmp_path / "a.pth")
    with pytest.raises(PruningError, match=rf"a\.pth.*{message}"):
        read_saved(tmp_path / "a.pth")


def test_other_files_are_refused_by_what_they_are(module, tmp_path):
    import numpy

    example = torch.ones(2, 1, 8, 8)
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "script")
    torch.export.save(torch.export.export(nn.Flatten(), (example,)), tmp_path / "program.pt2")
    numpy.savez(tmp_path / "arrays.npz", a=numpy.ones(2))
    save_state(capture(module), tmp_path / "own")
    (tmp_path / "text").write_text("weights, it says")
    (tmp_path / "nothing").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    save_file({}, tmp_path / "bare")
    for way in ("safetensors", "zip", "pickle"):
        save(weights(module), tmp_path / way, way)
        content = (tmp_path / way).read_bytes()
        (tmp_path / f"half_{way}").write_bytes(content[: len(content) // 2])
    for name, message in {
        "script": "TorchScript archive",
        "program.pt2": "torch.export.save",
        "arrays.npz": "torch.save did not write",
        "own": "pruning export",
        "text": "neither safetensors nor",
        "nothing": "neither safetensors nor",
        "folder": "Is a directory",
        "bare": "holds no tensors",
        "missing": "No such file",
        "half_safetensors": "truncated or damaged",
        "half_zip": "truncated or damaged",
        "half_pickle": "neither safetensors nor",
    }.items():
        with pytest.raises(PruningError, match=rf"{name}\b.*{message}"):
            read_saved(tmp_path / name)


def changed(tensors, name, change):
    new = dict(tensors)
    new[name] = change(new[name])
    return new


NAN, INF = float("nan"), float("inf")


def spoiled(value):
    def spoil(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[1] = value
        return tensor

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "fc.bias"}, r"it lacks fc\.bias\.$"),
        (lambda t: {**t, "aux.weight": torch.ones(2)}, r"it has aux\.weight, which"),
        (lambda t: {**t, "total_ops": torch.ones(1)}, "it has total_ops, which"),
        (
            lambda t: {k.replace("fc.", "head."): v for k, v in t.items()},
            r'Is its \'head\.weight\' the network\'s \'fc\.weight\'.*"head\.weight": "fc\.weight"',
        ),
        (lambda t: {f"module.{k}": v for k, v in t.items()}, r'`keys: \{"module\.": ""\}`'),
        (
            lambda t: changed(t, "fc.weight", lambda w: w[:5]),
            r"fc\.weight is \(5, 8\) there and \(10, 8\) here",
        ),
        (lambda t: changed(t, "fc.weight", lambda w: w.t()), r"\(8, 10\) there"),
        (
            lambda t: changed(t, "fc.weight", lambda w: w.to(torch.int8)),
            "fc.weight is of type int8",
        ),
        (lambda t: changed(t, "fc.weight", lambda w: w > 0), "fc.weight is of type bool"),
        (lambda t: changed(t, "fc.weight", lambda w: w.to_sparse()), "fc.weight is sparse"),
        (
            lambda t: changed(t, "fc.weight", lambda w: w.to(torch.float8_e4m3fn)),
            "fc.weight is of type float8",
        ),
        (lambda t: changed(t, "fc.weight", spoiled(NAN)), r"fc\.weight is not finite"),
        (lambda t: changed(t, "norm.running_var", spoiled(INF)), "running_var is not finite"),
        (
            lambda t: changed(t, "fc.weight", lambda w: w.double() * 1e300),
            r"fc\.weight is not finite.*do not fit into the type",
        ),
        (
            lambda t: changed(t, "norm.num_batches_tracked", lambda n: n.float()),
            "num_batches_tracked is of type float32, where the network has int64",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(module, tmp_path, spoil, message):
    torch.save(spoil(weights(module)), tmp_path / "net.pth")
    with pytest.raises(PruningError, match=rf"net\.pth.*{message}"):
        fit(read_saved(tmp_path / "net.pth"), module)


def test_other_names_are_said(module, tmp_path):
    tensors = {f"module.{k}".replace("module.fc.", "head."): v for k, v in weights(module).items()}
    save_file(tensors, tmp_path / "a.safetensors")
    keys = {"module.": "", "head.weight": "fc.weight", "head.bias": "fc.bias"}
    assert_equal(fit(read_saved(tmp_path / "a.safetensors"), module, keys).state, module)
    # A long beginning goes before a short one, a whole name before both; an empty one adds.
    inner = nn.ModuleDict({"net": module})
    keys = {"": "x.", "module.": "net.", "head.": "net.fc."}
    with pytest.raises(PruningError, match=r"no tensor begins with '', as `keys` has it"):
        fit(read_saved(tmp_path / "a.safetensors"), inner, keys)
    save_file(weights(module), tmp_path / "b.safetensors")
    state = fit(read_saved(tmp_path / "b.safetensors"), inner, {"": "net."}).state
    assert_equal(state, inner)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"modul.": ""}, "no tensor begins with 'modul.'"),
        ({"fc.weigth": "fc.weight"}, "is called 'fc.weigth'.*Did you mean 'fc.weight'"),
        ({"fc.bias": "fc.weight"}, "'fc.weight' would be 'fc.weight'. Mend"),
    ],
)
def test_names_that_are_said_in_vain_are_refused(module, tmp_path, keys, message):
    save_file(weights(module), tmp_path / "a.safetensors")
    with pytest.raises(PruningError, match=message):
        fit(read_saved(tmp_path / "a.safetensors"), module, keys)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_converted_and_counted(module, tmp_path, kind):
    tensors = {k: v.to(kind) if v.is_floating_point() else v for k, v in weights(module).items()}
    torch.save(tensors, tmp_path / "a.pth")
    found = fit(read_saved(tmp_path / "a.pth"), module)
    floating = sum(v.is_floating_point() for v in tensors.values())
    assert found.converted == {str(kind).removeprefix("torch."): floating}
    for name, tensor in found.state.weights.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tensors[name].float())


def test_files_older_than_counters_of_batches_are_read(tmp_path):
    module = Small()
    module.norm.num_batches_tracked += 5
    old = {k: v for k, v in weights(module).items() if "num_batches" not in k}
    torch.save(old, tmp_path / "old.pth")
    found = fit(read_saved(tmp_path / "old.pth"), module)
    assert found.counted
    assert found.state.buffers["norm.num_batches_tracked"] == 0
    module.norm.momentum = None  # then the counter decides the averages
    with pytest.raises(PruningError, match="it lacks norm.num_batches_tracked"):
        fit(read_saved(tmp_path / "old.pth"), module)


@pytest.mark.parametrize("way", ["zip", "save_model"])
def test_tied_weights_infinite_masks_and_unsaved_buffers(tmp_path, way):
    module = Tied()
    if way == "save_model":  # leaves one of the two names out
        save_model(module, str(tmp_path / "a"))
    else:
        torch.save(module.state_dict(), tmp_path / "a")
    state = fit(read_saved(tmp_path / "a"), Tied()).state
    assert list(state.weights) == ["first.weight", "first.bias", "second.bias"]
    assert torch.equal(state.weights["first.weight"], module.first.weight)
    assert torch.equal(state.buffers["causal"], module.causal)
    assert torch.equal(state.buffers["steps"], torch.arange(3))


def test_tied_weights_that_differ_in_the_file_are_refused(tmp_path):
    tensors = {k: v.clone() for k, v in Tied().state_dict().items()}
    tensors["second.weight"] += 1
    torch.save(tensors, tmp_path / "a")
    with pytest.raises(PruningError, match="first.weight and second.weight, which differ"):
        fit(read_saved(tmp_path / "a"), Tied())
    tensors["second.weight"] = tensors["first.weight"]
    tensors["causal"] = torch.tensor([torch.inf, 0.0])
    torch.save(tensors, tmp_path / "a")
    with pytest.raises(PruningError, match="causal is not finite"):
        fit(read_saved(tmp_path / "a"), Tied())


SEARCHES = ("gem_miner", "gem_miner_inverted", "edge_popup")


# -- in a study -----------------------------------------------------------------------------------


def write(folder, changes):
    """The digits study from a file, without what needs a training."""
    document = yaml.safe_load(DIGITS.read_text())
    document["dense"] = {"from": "net.pth"}
    document["rewinding"] |= {"methods": ["lr_rewind", "fine_tune", "reinit"]}
    document["at_init"] = {"methods": ["magnitude_after_training"], "densities": [0.3]}
    document["gsm"]["tickets"] = []
    document["gem_miner"]["methods"].remove("smart_ratio")
    for section, values in changes.items():
        document[section] = values if values is None else {**document.get(section, {}), **values}
        if values is None:
            del document[section]
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"weights")
    return tmp_path


def read(folder, **changes):
    return load_study(write(folder, changes), SCHEMAS / "study.schema.yaml")


def test_a_study_from_a_file_has_all_that_needs_the_end_of_training_alone(here):
    study = read(here)
    assert study.task["dense"] == {"from": "net.pth", "keys": {}}
    assert not [f for f in training_files(study) if "/rewind_states/" in f]
    assert len(study.parts) == 6
    told = plan(study, {"kind": "digits"})
    assert "dense" not in told.work
    assert told.jobs["dense"] == 3
    assert "steps" in describe(told, study)


@pytest.mark.parametrize(
    ("changes", "what", "by"),
    [
        (
            {"rewinding": {"methods": ["weight_rewind", "lr_rewind"]}},
            "state 18 epochs before its end",
            "`weight_rewind` of `rewinding`",
        ),
        (
            {"rewinding": {"methods": ["low_lr_weight_rewind"]}},
            "initial state",
            "`low_lr_weight_rewind` of `rewinding`",
        ),
        (
            {"rewinding": {"data_order": "rewound"}},
            "order of its training images",
            "`data_order` of `rewinding`",
        ),
        ({"at_init": {"methods": ["snip"]}}, "initial state", "`snip` of `at_init`"),
        (
            {"at_init": {"methods": ["lottery_ticket"], "rewind_epoch": 2}},
            "state 18 epochs before its end",
            "`lottery_ticket` of `at_init`",
        ),
        (
            {"at_init": {"later": {"epochs": [5], "level": 1, "methods": ["magnitude"]}}},
            "state 15 epochs before its end",
            "`magnitude` of `at_init`",
        ),
        ({"gsm": {"tickets": ["gsm"]}}, "initial state", "`tickets` of `gsm`"),
        (
            {"gem_miner": {"methods": [*SEARCHES, "smart_ratio"]}},
            "initial state",
            "`smart_ratio` of `gem_miner`",
        ),
    ],
)
def test_what_needs_an_early_state_is_refused_when_the_study_is_read(here, changes, what, by):
    message = f"s.yaml: the study starts from net.pth (`dense`).*There is no {what}, for {by}"
    with pytest.raises(PruningError, match=message.replace("(", r"\(").replace(")", r"\)")):
        read(here, **changes)


def test_all_that_needs_a_training_is_named_at_once(here):
    with pytest.raises(PruningError) as error:
        read(
            here,
            rewinding={"methods": ["weight_rewind"], "times_by_method": {}},
            at_init={"methods": ["snip", "synflow"]},
        )
    text = str(error.value)
    assert "no initial state, for `weight_rewind` of `rewinding`, `snip` of `at_init`" in text
    assert "`synflow` of `at_init`. Take these out, or `dense`." in text


def test_systems_that_say_only_what_is_kept_are_taken_at_their_word(here):
    from tests.systems.toy.toy import SYSTEM

    study = replace(read(here), parts={"toy": (0.5,)})
    (need,) = SYSTEM.needs(study)
    assert (need.what, need.by) == ("initial state", "`toy`")
    assert list(SYSTEM.needs(replace(study, parts={}))) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"from": "nett.pth"}, "dense.from: there is no file nett.pth in "),
        ({"from": "."}, "dense.from: there is no file . in "),
        ({"form": "net.pth"}, "unknown key 'form' in dense. Did you mean 'from'"),
        ({"keys": {"module": ""}}, "Beginnings of names end in a dot"),
        ({"keys": {"module.": "net"}}, "Beginnings of names end in a dot"),
        ({"keys": {"a": None}}, "must be two names"),
        ({"keys": {0.5: "a"}}, "the key 0.5 in dense.keys is no text"),
        ({"from": 3}, "dense.from is 3; it must be of type string"),
    ],
)
def test_mistakes_in_the_section_are_named(here, values, message):
    with pytest.raises(PruningError, match=message):
        read(here, dense=values)


def test_the_plan_follows_what_is_in_the_file_and_not_its_date(here):
    write(here, {})
    config = {"studies": ["s"], "datasets": {"digits": {"kind": "digits"}}, "study_folder": "."}

    def told():
        place = type("Wildcards", (), {"study": "s", "seed": "0", "time": "20"})
        workflow = Workflow(dict(config), SCHEMAS)
        with pytest.raises(SystemExit):
            workflow.rewind_state_input(place)  # nothing is trained up to there
        return workflow.dense_stage(place), workflow.stage("pruning.stages.prune")(place)

    before, other = told()
    assert before["task"]["dense"]["from"] == "net.pth"
    os.utime(here / "net.pth", (1, 1))
    assert told() == (before, other)
    (here / "net.pth").write_bytes(b"weightz")
    after, same = told()
    assert after != before
    assert same == other


# -- its stages -----------------------------------------------------------------------------------

TASK = {
    "kind": "classification",
    "dataset": "digits",
    "validation": {"source": "test", "fraction": 0.2},
    "network": {
        "name": "small_cnn",
        "initialization": "kaiming_normal",
        "options": {"widths": [4, 6], "hidden": 8},
    },
    "recipe": {
        "epochs": 1,
        "batches": {"size": 64},
        "optimizer": {"options": {"momentum": 0.9}},
        "schedule": {"shape": "step", "learning_rate": 0.05},
    },
    "exempt": [],
}


@pytest.fixture(scope="module")
def given(digits_file, tmp_path_factory):
    """A context that starts from a file, its network, and what the dense stage left."""
    folder = tmp_path_factory.mktemp("given")
    task = find("task kind", "classification")(TASK, digits_file, device="cpu", name="t")
    module = task.build(5)
    torch.save({"model": module.half().state_dict()}, folder / "net.pth")
    told = {"from": str(folder / "net.pth"), "keys": {}}
    context = StageContext("tiny", 0, {**TASK, "dense": told}, "v")
    dense(context, digits_file, folder / "dense", (1, 0.5))
    return context, task, module.float(), folder


def test_the_dense_stage_writes_what_a_training_writes_and_spends_nothing(given, digits_file):
    context, task, module, folder = given
    state = load_state(folder / "dense/state.safetensors")
    assert_equal(state, module)
    assert (state.step, state.slots, state.masks) == (task.timeline.total_steps, {}, {})
    assert list((folder / "dense/rewind").iterdir()) == []
    summary = read_json(folder / "dense/summary.json")
    assert summary["scores"]["test"] == task.evaluate(module.eval(), "test")
    assert (summary["training_steps"], summary["training_macs"]) == (0, 0)
    assert summary["dense_from"]["inside"] == "model"
    assert summary["dense_from"]["converted"] == {"float16": 14}
    assert summary["dense_from"]["file"].endswith("net.pth")
    assert read_json(folder / "dense/timing.json") == {"seconds": 0.0, "epochs": 1}
    header, row = (folder / "dense/metrics.csv").read_text().splitlines()
    assert header.startswith("epoch,step,validation_accuracy")
    assert row.startswith(f"0.0,{state.step},")
    parents = read_json(folder / "dense/state.json")["parents"]
    assert parents["network"]["sha256"] == summary["dense_from"]["sha256"]
    other = replace(context, seed=3)
    dense(other, digits_file, folder / "again", ())
    assert (folder / "again/state.safetensors").read_bytes() == (
        folder / "dense/state.safetensors"
    ).read_bytes()


def test_a_trained_study_has_the_same_keys_in_its_summary(given, digits_file, tmp_path):
    dense(StageContext("tiny", 0, TASK, "v"), digits_file, tmp_path / "dense", ())
    trained, taken = (read_json(f / "dense/summary.json") for f in (tmp_path, given[3]))
    assert list(trained) == [key for key in taken if key != "dense_from"]
    assert trained["training_steps"] > 0


def test_what_follows_goes_on_from_the_file(given, digits_file, tmp_path):
    context, task, module, folder = given
    pruning = {"kind": "weights", "density": 0.5, "score": "magnitude", "scope": "global"}
    final = folder / "dense/state.safetensors"
    mask = tmp_path / "mask.safetensors"
    prune(context, digits_file, final, mask, level=1, chain="one_shot", pruning=pruning)
    steps = task.timeline.total_steps
    cell = {"mode": "one_shot", "level": 1, "retrain_time": 1.0, "rewind": None}
    for method in ("lr_rewind", "fine_tune"):
        place = tmp_path / method
        rule = RULES[method].to_dict()
        retrain(
            context, digits_file, mask, folder / "dense", place, rule=rule, method=method, **cell
        )
        assert read_json(place / "summary.json")["training_steps"] == steps
    at_init(
        context, digits_file, mask, final, tmp_path / "after",
        method="magnitude_after_training", variant="unmodified", schedule="whole",
        epoch=1, epochs=1, level=1,
    )  # fmt: skip
    # The dense training, which was not made here, costs nothing.
    assert read_json(tmp_path / "after/summary.json")["training_steps"] == steps
    options = {"density": 0.5, "momentum": 0.9}
    recipe = {**TASK["recipe"], "optimizer": {"name": "gsm", "options": options}}
    gsm(
        context,
        digits_file,
        folder / "dense",
        tmp_path / "gsm",
        variant="x",
        level=1,
        recipe=recipe,
    )
    assert read_json(tmp_path / "gsm/summary.json")["training_steps"] == steps
    settings = {
        "method": "prunetrain", "ratio": 0.2, "interval": 1, "threshold": 1e-4, "epsilon": 1e-4,
        "growth": {"maximum": 64, "multiple": 32},
    }  # fmt: skip
    recipe = {**TASK["recipe"], "schedule": {"learning_rate": 1e-12}}
    shrink(
        context, digits_file, final, tmp_path / "shrunk",
        method="prunetrain", variant="unmodified", level=1, recipe=recipe, settings=settings,
    )  # fmt: skip
    shrunk = load_state(tmp_path / "shrunk/state.safetensors")
    assert torch.allclose(shrunk.weights["fc1.weight"], module.fc1.weight, atol=1e-6)
    assert read_json(tmp_path / "shrunk/summary.json")["training_steps"] == steps


def test_prunetrain_goes_on_from_the_file_by_every_method(here):
    from pruning.systems.prunetrain.asks import PruneTrainAsks

    write(here, {})
    config = {"studies": ["s"], "datasets": {"digits": {"kind": "digits"}}, "study_folder": "."}
    asks = PruneTrainAsks(Workflow(config, SCHEMAS))
    place = type("W", (), {"study": "s", "seed": "0", "method": "prunetrain", "level": "1"})
    assert asks.shrink_input(place)["dense"] == "results/s/seed0/dense/state.safetensors"


def test_a_file_that_changed_meanwhile_or_gives_nonsense_is_refused(given, digits_file, tmp_path):
    context, _, _, folder = given
    told = context.task["dense"]

    def run(**changes):
        task = {**context.task, "dense": {**told, **changes}}
        dense(replace(context, task=task), digits_file, tmp_path / "dense", ())

    with pytest.raises(PruningError, match="was changed while this run was going on"):
        run(sha256="0" * 64)
    tensors = torch.load(folder / "net.pth")["model"]
    name = next(n for n in tensors if n.endswith("running_var"))
    torch.save(changed(tensors, name, lambda v: v - 2), tmp_path / "a")
    with pytest.raises(PruningError, match=r"gives a validation loss of (inf|nan)"):
        run(**{"from": str(tmp_path / "a")})
    assert not (tmp_path / "dense/summary.json").exists()


def test_weights_that_are_zero_already_are_spoken_of(given, digits_file, tmp_path, caplog):
    context, *_, folder = given
    tensors = torch.load(folder / "net.pth")["model"]
    name = next(n for n in tensors if n.endswith("fc1.weight"))
    half = changed(tensors, name, lambda w: torch.zeros_like(w))
    torch.save(half, tmp_path / "a")
    task = {**context.task, "dense": {"from": str(tmp_path / "a"), "keys": {}}}
    with caplog.at_level("INFO", "pruning"):
        dense(replace(context, task=task), digits_file, tmp_path / "dense", ())
    assert re.search(rf"{half[name].numel()} of \d+ prunable weights are zero already", caplog.text)
    assert "14 tensors were float16 and are converted" in caplog.text


def test_by_hand_nothing_is_trained_of_a_study_from_a_file(tmp_path, capsys):
    root = tmp_path / "project"
    for name in ("workflow", "config"):
        shutil.copytree(REPOSITORY / name, root / name)
    text = f"extends: digits\ndense: {{from: {REPOSITORY / 'README.md'}}}\n"
    text += "".join(f"{s}: \n" for s in ("rewinding", "at_init", "gsm", "gem_miner", "prunetrain"))
    (root / "config/studies/mine.yaml").write_text(text)
    with pytest.raises(SystemExit):
        cli.main(["--config", str(root / "config/config.yaml"), "dense", "mine"])
    assert "so there is nothing to train" in capsys.readouterr().err
