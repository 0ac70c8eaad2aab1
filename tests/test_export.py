"""Trained networks taken away: exported files, and how long networks take."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pruning import cli
from pruning.data.splits import load
from pruning.deploy import export as exporting
from pruning.deploy import latency as timing
from pruning.deploy.export import describe, export, missing
from pruning.deploy.latency import Setting, measure, table, take_turns
from pruning.deploy.trained import load_trained, normalization
from pruning.errors import PruningError
from pruning.files import read_json, sha256, write_json
from pruning.masks.weights import prune
from pruning.models.channels import follow
from pruning.models.shape import cuts
from pruning.stages.context import StageContext
from pruning.stages.dense import dense
from pruning.stages.prepare_data import prepare_data
from pruning.training.checkpoint import load_state, save_state
from pruning.training.recipe import Batching
from pruning.training.state import capture
from tests.conftest import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "export.md"
needs_onnx = pytest.mark.skipif(
    bool(missing("onnx", "onnxscript", "onnxruntime")),
    reason="onnx, onnxscript and onnxruntime are not installed: pip install '.[export]'",
)
QUICK = Setting(batches=(1, 4), seconds=0.01)
DENSITY = 0.25


@pytest.fixture(scope="module")
def trained(digits_file, tmp_path_factory):
    """What the dense stage leaves of a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    task = {
        "kind": "classification",
        "dataset": "digits",
        "validation": {"source": "test", "fraction": 0.2},
        "network": {
            "name": "small_cnn",
            "initialization": "kaiming_normal",
            "options": {"widths": [4, 6], "hidden": 8},
        },
        "recipe": {
            "epochs": 0.2,
            "batches": {"size": 64},
            "schedule": {"shape": "step", "learning_rate": 0.1},
        },
        "exempt": [],
    }
    dense(StageContext("tiny", 0, task, "v"), digits_file, folder / "dense", ())
    return folder / "dense"


@pytest.fixture
def folder(trained, tmp_path):
    """A copy that a test may spoil."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("state.safetensors", "state.json"):
        (copy / name).write_bytes((trained / name).read_bytes())
    return copy


@pytest.fixture
def masked(folder):
    """The same network, pruned."""
    network = load_trained(folder)
    masks = prune(network.task, network.state, DENSITY)
    save_state(network.state.masked(masks), folder / "state.safetensors")
    return folder


def edit(folder, change):
    told = read_json(folder / "state.json")
    change(told)
    write_json(folder / "state.json", told)


def images(network, count=5):
    """Real ones, as the network takes them."""
    return network.task.normalize(network.task.data.test.images[:count]).contiguous()


def test_the_network_is_rebuilt_as_it_was_trained(trained):
    network = load_trained(trained)
    assert not network.module.training
    state = load_state(trained / "state.safetensors")
    own = network.module.state_dict()
    tensors = {**state.weights, **state.buffers}
    assert own.keys() == tensors.keys()
    assert all(torch.equal(own[name], tensors[name]) for name in own)
    test = network.task.evaluate(network.module, "test")
    assert test == pytest.approx(read_json(trained / "summary.json")["scores"]["test"])
    assert load_trained(trained / "state.safetensors").parameters == network.parameters


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_an_exported_program_gives_identical_logits(trained, tmp_path, batch):
    exported = export(trained, tmp_path / "net.pt2")
    module = torch.export.load(tmp_path / "net.pt2").module()
    x = images(exported.network, batch)
    assert torch.equal(module(x), exported.network.logits((x,)))
    assert exported.difference == 0
    assert exported.size == (tmp_path / "net.pt2").stat().st_size


def test_an_exported_program_names_no_place_of_this_machine(trained, tmp_path):
    export(trained, tmp_path / "net.pt2")
    assert b"small.py" not in (tmp_path / "net.pt2").read_bytes()


def test_the_documents_python_runs(trained, tmp_path, monkeypatch):
    network = export(trained, tmp_path / "net.pt2").network
    (code,) = re.findall("```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)
    assert found["logits"].shape == (5, 10)
    assert json.loads(found["files"]["pruning.json"])["network"] == "small_cnn"
    told = normalization(network.task)
    assert [found["mean"], found["std"]] == pytest.approx([told["mean"][0], told["std"][0]])


def test_plain_weights_load_into_the_network_and_say_what_they_are(masked, tmp_path):
    network = export(masked, tmp_path / "net.safetensors").network
    tensors = load_file(tmp_path / "net.safetensors")
    assert tensors.keys() == network.module.state_dict().keys()
    fresh = network.task.build(seed=3).eval()
    fresh.load_state_dict(tensors)
    x = images(network)
    assert torch.equal(fresh(x), network.logits((x,)))
    with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        told = json.loads(file.metadata()["pruning"])
    assert (told["network"], told["options"]) == ("small_cnn", {"widths": [4, 6], "hidden": 8})
    assert told["inputs"] == [{"shape": ["batch", 1, 8, 8], "type": "float32"}]
    assert told["classes"] == [str(digit) for digit in range(10)]
    assert told["normalization"]["kind"] == "per_channel"
    assert told["kept"] == sum(int(m.sum()) for m in network.state.masks.values())
    assert told["kept"] < told["prunable"] < told["parameters"]


@pytest.mark.parametrize("ending", ["pt2", "safetensors"])
def test_masked_weights_are_zeros_and_are_spoken_of(masked, tmp_path, ending):
    exported = export(masked, tmp_path / f"net.{ending}")
    state = exported.network.state
    if ending == "pt2":
        weights = torch.export.load(tmp_path / "net.pt2").state_dict
    else:
        weights = load_file(tmp_path / "net.safetensors")
    assert all((weights[name][~mask] == 0).all() for name, mask in state.masks.items())
    told = describe(exported)
    kept, prunable = exported.network.kept
    assert kept == round(DENSITY * prunable)
    others = exported.network.parameters - prunable
    assert kept <= exported.network.nonzero <= kept + others
    assert f"{exported.network.nonzero:,} of them not zero" in told
    assert f"{kept:,} of {prunable:,} prunable weights are kept" in told
    assert "masked weights are stored as zeros" in told
    assert exported.network.kept_macs < exported.network.macs
    assert f"{exported.network.macs:,} MACs" in told


@needs_onnx
def test_an_onnx_model_gives_the_same_logits_for_any_batch(masked, tmp_path):
    import onnxruntime

    exported = export(masked, tmp_path / "net.onnx")
    assert exported.difference <= exporting.TOLERANCE
    assert [path.name for path in tmp_path.glob("net*")] == ["net.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (given,) = session.get_inputs()
    for batch in (1, 7):
        x = images(exported.network, batch)
        (logits,) = session.run(None, {given.name: x.numpy()})
        assert torch.allclose(torch.from_numpy(logits), exported.network.logits((x,)), atol=1e-5)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["pruning"])
    assert facts["network"] == "small_cnn"


@pytest.mark.parametrize("ending", ["pt2", "safetensors"])
def test_a_network_that_lost_channels_is_small(folder, tmp_path, ending):
    network = load_trained(folder)
    channels = follow(network.task.build(), network.task.example())
    kept = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    kept -= {*channels.layers["conv2"].outputs[:4], *channels.layers["fc1"].outputs[2:]}
    save_state(network.state.cut(cuts(channels, kept)), folder / "state.safetensors")
    small = load_trained(folder)
    assert small.parameters < network.parameters / 2
    assert small.macs < network.macs
    export(folder, tmp_path / f"small.{ending}")
    if ending == "pt2":
        again = torch.export.load(tmp_path / "small.pt2").module()
        assert torch.equal(again(images(small)), small.module(images(small)))
        return
    with safe_open(tmp_path / "small.safetensors", "pt") as file:
        told = json.loads(file.metadata()["pruning"])
    assert told["shape"]["conv2/outputs"] == [4, 5]
    tensors = load_file(tmp_path / "small.safetensors")
    assert tensors["fc1.weight"].shape == (2, 2 * 2 * 2)


def test_without_its_packages_onnx_says_how_to_install_them(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "missing", lambda *packages: list(packages))
    with pytest.raises(PruningError, match="pip install onnx onnxscript"):
        export(trained, tmp_path / "net.onnx")


@pytest.mark.parametrize("kind", ["per_channel", "scale", "given", "per_image"])
def test_the_normalization_that_is_told_is_the_one_in_use(make_task, kind):
    given = {"mean": (0.3,), "std": (0.2,)} if kind == "given" else {}
    task = make_task(batches=Batching(64, normalization=kind, **given))
    told = normalization(task)
    images = task.data.test.images[:3]
    pixels = images.permute(0, 3, 1, 2).float() / 255
    if kind == "per_image":
        assert told == {"kind": kind}
        return
    mean, std = (torch.tensor(told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    assert torch.allclose((pixels - mean) / std, task.normalize(images), atol=1e-5)


def test_what_is_told_of_the_input(trained, tmp_path):
    exported = export(trained, tmp_path / "net.pt2")
    told = describe(exported)
    assert "Input: float32 (batch, 1, 8, 8)" in told
    mean = exported.network.task.data.mean[0] / 255
    assert f"(pixel / 255 - mean) / std by channel, mean {mean:.6g}," in told
    assert "Compared: logits differ by 0.0e+00" in told
    assert "Masks" not in told
    assert "Note" not in told


def test_other_data_than_it_was_trained_on_is_noted(folder, tmp_path):
    edit(folder, lambda told: told["parents"]["data"].update(sha256="0" * 64))
    assert "is not the file that this was trained on" in describe(
        export(folder, tmp_path / "net.safetensors")
    )


def test_a_file_that_gives_other_logits_is_not_left(trained, tmp_path, monkeypatch):
    def wrong(network, path):
        path.write_text("something")
        return lambda inputs: network.logits(inputs) * 1.01

    monkeypatch.setitem(exporting.WRITERS, ".pt2", wrong)
    (tmp_path / "net.pt2").write_text("before")
    with pytest.raises(PruningError, match=r"other logits .* differ by 1.0e-02 .* not written"):
        export(trained, tmp_path / "net.pt2")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_network_that_cannot_be_traced_is_one_paragraph(trained, tmp_path, monkeypatch):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    network = replace(load_trained(trained), module=Branching())
    monkeypatch.setattr(exporting, "load_trained", lambda path: network)
    with pytest.raises(PruningError, match=r"torch cannot trace .* Export it as \.safetensors"):
        export(trained, tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_logits_that_are_not_finite_are_refused(folder, tmp_path):
    state = load_state(folder / "state.safetensors")
    name = next(iter(state.weights))
    state.weights[name].fill_(1e38)
    save_state(state, folder / "state.safetensors")
    with pytest.raises(PruningError, match="not finite"):
        export(folder, tmp_path / "net.safetensors")


def truncate(folder):
    file = folder / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


SPOILED = {
    "no metadata": (lambda f: (f / "state.json").unlink(), "has no state.json"),
    "no state": (lambda f: (f / "state.safetensors").unlink(), "does not exist"),
    "damaged": (truncate, "truncated or damaged"),
    "not JSON": (lambda f: (f / "state.json").write_text("{"), "not readable JSON"),
    "foreign": (lambda f: (f / "state.json").write_text("[1]"), "does not say what was trained"),
    "no data": (
        lambda f: edit(f, lambda told: told["parents"]["data"].update(path="results/no.file")),
        "results/no.file is not there.*`pruning prepare digits`",
    ),
    "unknown network": (
        lambda f: edit(f, lambda told: told["config"]["task"]["network"].update(name="small_cn")),
        "cannot be built.*Did you mean 'small_cnn'",
    ),
    "network outside that is gone": (
        lambda f: edit(f, lambda told: told["config"]["task"]["network"].update(name="no.py:Net")),
        "cannot be built.*no.py",
    ),
    "another network": (
        lambda f: edit(f, lambda told: told["config"]["task"]["network"].update(options={})),
        "cannot be built. The state .* is of another network",
    ),
    "older values": (
        lambda f: edit(f, lambda told: told["config"]["task"].pop("exempt")),
        "this version does not read",
    ),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_folder_with_a_fault_is_one_paragraph(folder, tmp_path, spoil, caplog):
    change, message = SPOILED[spoil]
    change(folder)
    with pytest.raises(PruningError, match=f"(?s){message}") as told:
        export(folder, tmp_path / "net.pt2")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "net.pt2").exists()


def test_a_folder_above_names_trainings_below(folder, tmp_path):
    with pytest.raises(PruningError, match=f"Some below it: {folder}"):
        load_trained(tmp_path)
    with pytest.raises(PruningError, match="nowhere does not exist"):
        load_trained(tmp_path / "nowhere")


def test_other_states_are_not_what_a_training_ends_with(folder):
    # What state.json says is of one state only: another beside it may be unmasked, or half-way.
    (folder / "network.safetensors").write_bytes((folder / "state.safetensors").read_bytes())
    with pytest.raises(PruningError, match="not what a training ends with"):
        load_trained(folder / "network.safetensors")


def test_a_state_under_parametrizations_names_what_follows(folder):
    network = load_trained(folder)
    torch.nn.utils.parametrize.register_parametrization(
        network.module.conv1, "weight", torch.nn.Identity()
    )
    save_state(capture(network.module), folder / "state.safetensors")
    with pytest.raises(PruningError, match="another network.*the training that went on from it"):
        load_trained(folder)


@pytest.mark.parametrize(
    ("output", "message"), [("net.pt", "Did you mean '.pt2'"), (".", "Unknown ending")]
)
def test_outputs_that_are_refused(trained, tmp_path, output, message):
    with pytest.raises(PruningError, match=message):
        export(trained, tmp_path / output)
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(PruningError, match="is a folder"):
        export(trained, tmp_path / "folder.pt2")


def test_data_is_found_from_any_working_directory(folder, tmp_path, monkeypatch):
    place = tmp_path / "results" / "data" / "digits.safetensors"
    prepare_data("digits", {"kind": "digits"}, tmp_path, place)
    path = "results/data/digits.safetensors"
    edit(folder, lambda told: told["parents"]["data"].update(path=path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    network = load_trained("../copy")
    assert sha256(network.data) == sha256(place)
    assert load(network.data).name == "digits"


def test_networks_take_turns_after_a_round_that_warms_up():
    calls = []
    jobs = {name: lambda name=name: calls.append(name) for name in "ABC"}
    times = take_turns(jobs, seconds=0.0, rounds=2)
    assert [len(taken) for taken in times.values()] == [2, 2, 2]
    assert "".join(calls) == "AABBCC" * 3  # the first call of a turn is not counted


def test_the_table_of_latencies(trained, masked):
    measured = measure([trained, masked], QUICK)
    lines = table(measured, QUICK).splitlines()
    head, *rows = lines[1 : 2 + len(measured)]
    assert head.split() == [
        "network", "parameters", "MACs", "batch", "runtime", "median", "quartiles", "ratio"
    ]  # fmt: skip
    assert {len(row) for row in rows} == {len(head)}
    pytorch = [latency for latency in measured if latency.runtime == timing.PYTORCH]
    assert [(m.network.name, m.batch) for m in pytorch] == [
        (str(folder), batch) for batch in QUICK.batches for folder in (trained, masked)
    ]
    assert all(row.endswith(" 1.00") for row in rows[::2])
    for first, second in zip(measured[::2], measured[1::2], strict=True):
        assert second.ratio == pytest.approx(second.quartiles[1] / first.quartiles[1])
    for latency, row in zip(measured, rows, strict=True):
        lower, median, upper = latency.quartiles
        assert 0 < lower <= median <= upper
        for text in (latency.network.name, f"{median:.4g}", f"{latency.network.macs:,}"):
            assert f" {text} " in f" {row} "
    kept, prunable = measured[1].network.kept
    assert f"{masked}: {kept:,} of {prunable:,} prunable weights are kept" in "\n".join(lines)


def test_without_onnx_runtime_the_table_says_so(trained, monkeypatch):
    monkeypatch.setattr(timing, "missing", lambda *packages: ["onnxruntime"])
    measured = measure([trained], QUICK)
    assert {latency.runtime for latency in measured} == {timing.PYTORCH}
    told = table(measured, QUICK)
    assert "ONNX Runtime is not installed; not measured (`pip install onnxruntime`)." in told
    monkeypatch.setattr(exporting, "missing", lambda *packages: ["onnxruntime"])
    with pytest.raises(PruningError, match="pip install onnx onnxscript onnxruntime"):
        measure([trained], replace(QUICK, onnx=True))


@needs_onnx
def test_onnx_runtime_is_measured_beside(trained, masked):
    measured = measure([trained, masked], replace(QUICK, onnx=True))
    assert [(latency.runtime, latency.batch) for latency in measured] == [
        (runtime, batch)
        for batch in QUICK.batches
        for runtime in (timing.PYTORCH, timing.ONNX)
        for _ in "ab"
    ]
    assert "not measured" not in table(measured, QUICK)


@pytest.mark.parametrize(
    "wrong", [{"batches": (1, 0)}, {"batches": ()}, {"threads": 0}, {"seconds": 0.0},
              {"seconds": float("nan")}]
)  # fmt: skip
def test_settings_that_cannot_be_measured(wrong):
    with pytest.raises(PruningError, match="--"):
        Setting(**wrong)


def test_threads_are_as_before_afterwards(trained):
    before = torch.get_num_threads()
    measure([trained], replace(QUICK, threads=before + 1, batches=(1,)))
    assert torch.get_num_threads() == before


def test_both_are_commands(trained, tmp_path, capsys):
    cli.main(["export", str(trained), str(tmp_path / "net.safetensors")])
    assert "net.safetensors: " in capsys.readouterr().out
    cli.main(["latency", str(trained), "--batch", "2", "--seconds", "0.01"])
    assert str(trained) in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["latency", str(trained), "--batch", "0"])
    assert stop.value.code == 1
    assert "at least 1, it is 0" in capsys.readouterr().err
