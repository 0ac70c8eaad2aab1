"""A ResNet-18 of torchvision with its own weights: pruned, retrained, taken away, loaded back."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pruning.data import store
from pruning.deploy.export import export
from pruning.deploy.trained import load_trained
from pruning.files import read_json
from pruning.stages.context import StageContext
from pruning.stages.dense import dense
from pruning.stages.prune import prune
from pruning.systems.rewinding.rules import RULES
from pruning.systems.rewinding.stages.retrain import retrain
from pruning.training.checkpoint import load_state
from tests.conftest import REPOSITORY
from tests.test_packaging import blocks

torchvision = pytest.importorskip("torchvision")

NETS = """
from torchvision.models import resnet18


def net(shape, classes):
    return resnet18(num_classes=classes)
"""
# The README's lines, without this package.
READ = """
import sys
sys.modules["pruning"] = None  # as where it is not installed
{}
import torch
torch.save(network.eval()(torch.load("inputs.pt")), "logits.pt")
zeros = sum(int((p == 0).sum()) for n, p in network.named_parameters() if p.dim() > 1)
print(zeros, sum(p.numel() for p in network.parameters() if p.dim() > 1))
"""


def test_torchvisions_resnet_with_its_own_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(12) % 5
    classes = tuple("abcde")
    store.save(
        store.ImageData("few", images, labels, images, labels, classes, "drawn"), "few.safetensors"
    )
    (tmp_path / "nets.py").write_text(NETS)
    torch.manual_seed(3)
    theirs = torchvision.models.resnet18(num_classes=5)
    torch.save({"state_dict": torch.nn.DataParallel(theirs).state_dict(), "epoch": 9}, "r18.pth")
    task = {
        "kind": "classification",
        "dataset": "few",
        "validation": {"source": "test", "fraction": 0.25},
        "network": {"name": "nets.py:net", "initialization": "kaiming_normal", "options": {}},
        "recipe": {
            "epochs": 1,
            "batches": {"size": 6},
            "schedule": {"shape": "step", "learning_rate": 1e-3},
        },
        "exempt": [],
        "dense": {"from": "r18.pth", "keys": {"module.": ""}},
    }
    context = StageContext("own", 0, task, "v")
    dense(context, "few.safetensors", "dense", ())
    state = load_state("dense/state.safetensors")
    assert {**state.weights, **state.buffers}.keys() == theirs.state_dict().keys()
    assert torch.equal(state.weights["layer4.1.conv2.weight"], theirs.layer4[1].conv2.weight)
    assert read_json("dense/summary.json")["training_steps"] == 0

    pruning = {"kind": "weights", "density": 0.1, "score": "magnitude", "scope": "global"}
    final = "dense/state.safetensors"
    mask = "mask.safetensors"
    prune(context, "few.safetensors", final, mask, level=1, chain="one_shot", pruning=pruning)
    retrain(
        context, "few.safetensors", mask, "dense", "tuned",
        rewind=None, rule=RULES["lr_rewind"].to_dict(), method="lr_rewind", mode="one_shot",
        level=1, retrain_time=1.0,
    )  # fmt: skip
    summary = read_json("tuned/summary.json")
    kernels = sum(p.numel() for p in theirs.parameters() if p.dim() > 1)
    assert (summary["training_steps"], summary["kept"]) == (2, round(0.1 * kernels))
    tuned = load_state("tuned/state.safetensors")
    assert not torch.equal(tuned.weights["conv1.weight"], state.weights["conv1.weight"])

    export("tuned", "net.safetensors")
    network = load_trained("tuned")
    inputs = network.inputs(3)
    torch.save(inputs[0], "inputs.pt")
    (shown,) = (b for b in blocks(REPOSITORY / "README.md", "py") if "load_state_dict" in b)
    command = [sys.executable, "-I", "-c", READ.format(shown)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert torch.equal(torch.load("logits.pt"), network.logits(inputs))
    assert list(map(int, run.stdout.split())) == [kernels - summary["kept"], kernels]
