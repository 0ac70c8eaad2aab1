"""Networks whose filters are gone are exported without them."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from pruning import cli
from pruning.deploy.export import describe, export
from pruning.deploy.narrow import narrowed
from pruning.deploy.trained import TrainedNetwork, facts, load_trained
from pruning.masks.filters import prune_filters
from pruning.training.checkpoint import save_state
from pruning.training.network import network_of
from tests.test_export import edit, folder, images, trained  # noqa: F401 - fixtures


def unlike_new(state, seed=0):
    """The state with batch norms, and biases, that have seen something."""
    draws = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.rand(w.shape, generator=draws) - 0.3 if w.dim() == 1 else w
        for name, w in state.weights.items()
    }
    buffers = {
        name: torch.rand(b.shape, generator=draws) + 0.1 if b.is_floating_point() else b
        for name, b in state.buffers.items()
    }
    return replace(state, weights=weights, buffers=buffers)


def without_norm(shape, classes):
    """Biases, an activation that is not 0 at 0, padding of every kind."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 3, padding=1), nn.Sigmoid(), nn.AvgPool2d(2, padding=1),
        nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect"), nn.Sigmoid(), nn.Flatten(),
        nn.Linear(200, classes),
    )  # fmt: skip


def thinned(make_task, network, convs, fraction=0.5, level=1, **options):
    named = isinstance(network, str)
    task = make_task(network if named else "mlp", options)
    task = task if named else replace(task, network=network)
    state = unlike_new(task.initial_state(0, "dense"))
    thinnings = [{"convs": convs, "fraction": fraction}]
    pruned = prune_filters(task, state, thinnings=thinnings, level=level)
    state = state.masked(pruned.masks)
    return TrainedNetwork("net", {}, task, state, network_of(task, state).eval(), "", "")


@pytest.mark.parametrize(
    ("network", "convs", "options"),
    [
        ("small_cnn", [1, 2], {"widths": [6, 8], "hidden": 12}),
        ("resnet20", [2, 4, 8, 14], {}),
        (without_norm, [1, 2], {}),
        ("mobilenet_v2", [2, 3], {}),
    ],
)
def test_filters_that_are_gone_are_left_out_and_logits_stay(make_task, network, convs, options):
    whole = thinned(make_task, network, convs, **options)
    small = narrowed(whole)
    gone = sum(int((~mask.flatten(1).any(1)).sum()) for mask in whole.state.masks.values())
    # A depthwise filter that is gone may end a channel whose own filter is gone too.
    assert 0 < small.left_out <= gone
    assert network == "mobilenet_v2" or small.left_out == gone
    assert small.parameters < whole.parameters
    assert small.macs < whole.macs
    inputs = whole.inputs(3)
    expected = whole.logits(inputs)
    assert torch.allclose(small.logits(inputs), expected, rtol=0, atol=2e-5 * expected.abs().max())
    if network == "mobilenet_v2":
        return
    # What goes had an effect: dropping it would have been another network.
    bare = network_of(small.task, small.state).eval()
    with torch.no_grad():
        assert (bare(*inputs) - expected).abs().max() > 1e-3 * expected.abs().max()


def test_a_layer_that_loses_all_keeps_one(make_task):
    whole = thinned(make_task, "small_cnn", [1], 0.999, 5, widths=[6, 8], hidden=12)
    assert not whole.state.masks["conv1.weight"].any()
    small = narrowed(whole)
    assert len(small.module.conv1.weight) == 1
    inputs = whole.inputs(3)
    assert torch.allclose(small.logits(inputs), whole.logits(inputs), atol=1e-5)


def test_single_weights_narrow_nothing(make_task):
    whole = thinned(make_task, "small_cnn", [1], widths=[6, 8], hidden=12)
    assert narrowed(replace(whole, state=replace(whole.state, masks={}))).whole is None
    masks = dict(whole.state.masks)
    masks["conv2.weight"] = masks["conv2.weight"].clone()
    masks["conv2.weight"][0, 0, 0, 0] = False
    other = replace(whole, state=replace(whole.state, masks=masks))
    assert narrowed(other) is other


class Odd(nn.Module):
    """Its channels meet in a way that nothing follows."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)

    def forward(self, images):
        found = self.conv(images).relu().amax((2, 3))
        return self.fc(found.sort(1).values)


def test_what_is_not_understood_stays_whole(make_task):
    task = replace(make_task("small_cnn"), network=lambda shape, classes: Odd())
    state = task.initial_state(0, "dense")
    mask = torch.ones(4, 1, 3, 3, dtype=torch.bool)
    mask[2] = False
    state = state.masked({"conv.weight": mask})
    whole = TrainedNetwork("net", {}, task, state, network_of(task, state).eval(), "", "")
    assert narrowed(whole) is whole


@pytest.fixture
def structured(folder):  # noqa: F811
    """A training's folder, its network thinned out."""
    network = load_trained(folder)
    state = unlike_new(network.state)
    thinnings = [{"convs": [1, 2], "fraction": 0.5}]
    pruned = prune_filters(network.task, state, thinnings=thinnings, level=1)
    save_state(state.masked(pruned.masks), folder / "state.safetensors")
    return folder


def test_exported_programs_are_narrow_and_weights_fit_the_network(structured, tmp_path, capsys):
    cli.main(["export", str(structured), "--to", str(tmp_path / "net.pt2")])
    told = capsys.readouterr().out
    assert "Narrowed: 5 channels whose filters are gone are left out" in told
    whole = load_trained(structured)
    files = {"pruning.json": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=files)
    x = images(whole, 4)
    expected = whole.logits((x,))
    assert torch.allclose(program.module()(x), expected, atol=1e-5 * float(expected.abs().max()))
    assert program.state_dict["conv1.weight"].shape[0] == 2
    facts_there = json.loads(files["pruning.json"])
    assert facts_there["left_out_channels"] == 5
    assert facts_there["parameters"] < whole.parameters
    assert facts_there["kept"] == facts(whole)["kept"]
    exported = export(structured, tmp_path / "net.safetensors")
    assert exported.network.whole is None
    assert "masked weights are stored as zeros" in describe(exported)


def test_one_file_to_write_is_named(structured, tmp_path):
    for arguments in ([], [str(tmp_path / "a.pt2"), "--to", str(tmp_path / "b.pt2")]):
        with pytest.raises(SystemExit):
            cli.main(["export", str(structured), *arguments])
    assert not list(tmp_path.glob("*.pt2"))
