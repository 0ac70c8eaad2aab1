"""What passes the check runs: whatever a stage would refuse of a study is refused before."""

import copy
import json
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

from pruning.data.known import KNOWN, Facts, known_facts, prepared_facts, stand_in
from pruning.data.splits import load
from pruning.errors import PruningError
from pruning.running import trials
from pruning.stages import trial
from pruning.study.asks import Workflow
from tests.conftest import SCHEMAS

RECIPE = {
    "epochs": 4,
    "batches": {"size": 64},
    "optimizer": {"options": {"momentum": 0.9}},
    "schedule": {"learning_rate": 0.1, "milestones": [2]},
}
STUDY = {
    "dataset": "digits",
    "network": {"name": "small_cnn", "options": {"widths": [4, 6], "hidden": 8}},
    "seeds": [0],
    "recipe": RECIPE,
    "rewinding": {
        "modes": ["iterative", "structured_a"],
        "methods": ["lr_rewind"],
        "fraction": 0.5,
        "levels": 2,
        "retrain_times": [2],
        "thinnings": {"structured_a": [{"convs": [1], "fraction": 0.3}]},
    },
    "at_init": {
        "methods": ["snip", "synflow"],
        "variants_by_method": {"snip": ["unmodified", "shuffled"]},
        "densities": [0.3],
        "images_per_class": 5,
        "iterations": {"synflow": 100},
        "score_options": {"snip": {"batch_norm": "train"}},
    },
    "gsm": {
        "recipe": {**RECIPE, "optimizer": {"name": "gsm", "options": {"momentum": 0.9}}},
        "ratios": [2, 5],
        "ablations": {"slow": {"options": {"momentum": 0.5}}},
    },
    "gem_miner": {
        "methods": ["gem_miner", "edge_popup", "smart_ratio"],
        "densities": [0.5, 0.3],
        "search": {**RECIPE, "schedule": {"shape": "cosine", "learning_rate": 0.5}},
        "finetune": {**RECIPE, "epochs": 2, "schedule": {"learning_rate": 0.1}},
        "period": 1,
        "strengths": {"gem_miner": 1e-3},
    },
    "prunetrain": {
        "methods": ["prunetrain"],
        "ratios": [0.2],
        "interval": 1,
        "fine_tuned": ["prunetrain"],
        "finetune": {**RECIPE, "epochs": 1, "schedule": {"learning_rate": 0.1}},
    },
}


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """A function: the workflow of a folder that has one study, with changes at dotted keys."""
    monkeypatch.chdir(tmp_path)

    def make(changes=(), **datasets):
        study = copy.deepcopy(STUDY)
        for key, value in dict(changes).items():
            *way, last = key.split(".")
            place = study
            for part in way:
                place = place.setdefault(part, {})
            place[last] = value
            if value is None:
                del place[last]
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
        found = {"digits": {"kind": "digits"}, "cifar": {"kind": "cifar10"}, **datasets}
        config = {"studies": ["s"], "study_folder": ".", "datasets": found}
        return Workflow(config, SCHEMAS)

    return make


def test_a_study_of_every_system_passes_with_nothing_prepared_and_trains_no_step(
    workflow, monkeypatch
):
    steps = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *a, **k: steps.append(a) or step(*a, **k))
    assert trials.try_out(workflow(), "s")
    assert not steps


# One case for each thing that is known only with the network, the data set's size, or both.
REFUSED = [
    ({"network": {"name": "vgg16"}}, "A VGG needs images of at least 32x32, these are"),
    ({"network.options": {"widths": [10**9, 16]}}, r"take [0-9,.]+ GiB"),
    ({"network.options": {"hidden": 2**62, "widths": [4, 6]}}, "cannot be built"),
    ({"exempt": ["nope"]}, "Exempt: 'nope' names no weight"),
    ({"exempt": ["*"]}, "exempt: this leaves no weight of the network to prune"),
    ({"prunable": ["conv1.bias"]}, "Prunable: 'conv1.bias' names no weight"),
    ({"validation": {"source": "train", "fraction": 0.99999}}, "1352 train images leaves no other"),
    ({"validation": {"source": "test", "fraction": 0.99999}}, "445 test images leaves no other"),
    ({"validation": {"source": "own"}}, "source is 'own', but .* train, test"),
    ({"validation": {"source": "own", "fraction": 0.2}}, "its fraction is not 0.2"),
    ({"at_init.sample": {"sentences": 5}, "at_init.images_per_class": None}, "said by sentences"),
    ({"at_init.sample": {"images_per_class": 5}}, "`images_per_class`, which is of images, and"),
    ({"validation": {"fraction": 1e-9}}, "1e-09 of the 445 test images are not even one"),
    ({"recipe.batches": {"size": 10**6}}, r"1000000 \(batches.size\) would have each"),
    ({"gsm.recipe.batches": {"size": 10**6}}, r"gsm: A batch of 1000000"),
    ({"prunetrain.finetune.batches": {"size": 10**6}}, r"prunetrain: A batch of 1000000"),
    ({"recipe.batches": {"size": 9999, "epoch_boundary": "drop"}}, "larger than the 1352"),
    ({"recipe.batches": {"size": 64, "crop_padding": 8}}, "recipe: crop_padding is 8, but images"),
    (
        {"gem_miner.finetune.batches": {"size": 64, "crop_padding": 9}},
        "gem_miner: gem_miner: finetune: crop_padding is 9",
    ),
    (
        {"recipe.batches": {"size": 64, "normalization": "given", "mean": [0] * 2, "std": [1] * 2}},
        "has 2 numbers in `mean`",
    ),
    ({"gsm.recipe.epochs": 0.01, "gsm.recipe.schedule": {"learning_rate": 1}},
     "gsm: 0.01 epochs of .* not even one step"),
    ({"at_init.images_per_class": 132}, "at_init: Scoring wants 132 .* has 131"),
    ({"at_init.densities": [1e-9]}, "at_init: Density 1e-09 keeps none of"),
    ({"gsm.ratios": [1e9]}, "gsm.recipe: Density 1e-09 leaves none of"),
    ({"gem_miner.densities": [1e-9], "gem_miner.methods": ["global_edge_popup"],
      "gem_miner.strengths": {}}, "gem_miner: global_edge_popup: .*density 1e-09 leaves none"),
    (
        {"rewinding.thinnings": {"structured_a": [{"convs": [3], "fraction": 0.3}]}},
        "rewinding: Structured pruning names convolution 3, but this network has 2",
    ),
    (
        {"network": {"name": "mlp", "options": {"widths": []}}, "rewinding": None,
         "at_init": None, "gsm": None, "gem_miner": None},
        "prunetrain: prunetrain: .*no channel of this network may go",
    ),
    ({"figure": {"at_init_published": "nobody"}}, "figure.at_init_published: "),
    ({"dataset": "nowhere"}, "dataset: Unknown data set 'nowhere'"),
    ({"dataset": "gone"}, "datasets.gone.path: there is nothing at"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_a_stage_would_refuse_is_refused_with_the_study_s_file(workflow, changes, message):
    gone = {"kind": "image_folder", "path": "not/there"}
    with pytest.raises(PruningError, match=f"^s.yaml: (.|\n)*{message}") as error:
        trials.try_out(workflow(changes, gone=gone), "s")
    assert "\n" not in str(error.value)
    assert "study s, seed 0, trial: study" not in str(error.value)


def test_a_network_that_skips_a_layer_and_one_of_another_output_are_refused(workflow, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Three(nn.Module):\n"
        "    def __init__(self, shape, classes):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(64, classes)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x.flatten(1))[:, None]\n"
    )
    own = {"network": {"name": "mine.py:Three"}}
    with pytest.raises(PruningError, match="gives a tensor of .images, classes.; this one gives"):
        trials.try_out(workflow(own), "s")


VALUES = ["x", "", -1, 0, 0.5, 7, 10**9, 2**70, 1e18, 1e308, 1e-300, float("nan"), True, None]
VALUES += [[], {}, [[1]], {"a": 1}, [0], [1e9, 1], [None]]


def _places(value, way=()):
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*way, key))
    if way:
        yield way


def _refusal():
    """What is said of the study in this folder; None where it passes."""
    config = {"studies": ["s"], "study_folder": ".", "datasets": {"digits": {"kind": "digits"}}}
    try:
        trials.try_out(Workflow(config, SCHEMAS), "s")
    except PruningError as error:
        return str(error)
    return None


def test_any_value_at_any_key_is_refused_in_one_paragraph_or_passes(workflow, tmp_path):
    cases = [(way, value) for way in _places(STUDY) for value in VALUES]
    for way, value in random.Random(17).sample(cases, 40):
        workflow()
        study = yaml.safe_load((tmp_path / "s.yaml").read_text())
        place = study
        for key in way[:-1]:
            place = place[key]
        place[way[-1]] = value
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
        told = _refusal()
        assert told is None or (told.startswith("s.yaml") and len(told) < 1500), (way, value, told)


# -- what Snakemake asks ------------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch):
    """Processes that were started to try studies out; they end as the list's `status` says."""
    started = SimpleNamespace(count=0, status=0, text="")

    def run(*_, input, **__):
        started.count += 1
        assert json.loads(input)["study"] == "s"
        return SimpleNamespace(returncode=started.status, stdout=started.text, stderr="a\nlast")

    monkeypatch.setattr(trials.subprocess, "run", run)
    return started


def test_a_study_is_tried_out_once_for_each_change_of_what_it_says(workflow, runs):
    for _ in range(2):
        workflow().data_file(SimpleNamespace(study="s"))
        assert runs.count == 1
    for changes in ({"recipe.epochs": 5}, {"prunetrain.interval": 2}, {"exempt": ["fc1"]}):
        workflow(changes).data_file(SimpleNamespace(study="s"))
    assert runs.count == 4


def test_what_was_refused_is_asked_again_and_a_trial_that_broke_down_stops_nobody(
    workflow, runs, capsys
):
    runs.status, runs.text = trials.REFUSED, "s.yaml: no"
    for count in (1, 2):
        with pytest.raises(SystemExit):
            workflow().data_file(SimpleNamespace(study="s"))
        assert runs.count == count
    assert capsys.readouterr().err == "\nError: s.yaml: no\n\n" * 2
    runs.status = -9
    assert workflow().data_file(SimpleNamespace(study="s")) == "results/data/digits.safetensors"
    assert "s.yaml could not be tried out: exit status -9. last" in capsys.readouterr().err


def test_a_process_of_its_own_says_why_a_study_is_refused(workflow):
    with pytest.raises(PruningError, match="^s.yaml: Exempt: 'nope' names no weight"):
        trials.require(workflow({"exempt": ["nope"]}), "s")


def test_reading_studies_and_looking_for_what_is_remembered_imports_no_torch():
    code = (
        "import sys, pruning.running.trials, pruning.study.asks; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- data sets that are not prepared --------------------------------------------------------------


def test_what_stands_in_for_a_data_set_has_its_sizes(tmp_path):
    facts = Facts(50, 20, (3, 4, 5), 3, 7)
    assert stand_in(facts, tmp_path / "d.safetensors", "cifar10")
    assert prepared_facts(tmp_path / "d.safetensors") == Facts(50, 20, (3, 4, 5), 3)
    splits = load(tmp_path / "d.safetensors")
    assert splits.shape == (3, 4, 5)
    assert splits.train.labels.bincount().tolist() == [7, 22, 21]
    assert not stand_in(KNOWN["tiny_imagenet"], tmp_path / "t.safetensors", "tiny_imagenet")
    assert not (tmp_path / "t.safetensors").exists()


def test_a_study_of_imagenet_is_tried_out_without_it(workflow):
    """On what stands in for it: pictures in files, as many and as large."""
    others = dict.fromkeys(("at_init", "gsm", "gem_miner", "prunetrain"))
    crop = {"scale": [0.08, 1], "ratio": [0.75, 1.3333]}
    batches = {"size": 4, "resized_crop": crop, "normalization": "given"}
    batches |= {"mean": [0.5] * 3, "std": [0.25] * 3}
    changes = {**others, "dataset": "imagenet", "rewinding.modes": ["one_shot"]}
    changes |= {"rewinding.thinnings": None, "rewinding.fraction": None, "rewinding.levels": None}
    changes |= {"rewinding.densities": [0.5], "recipe.batches": batches}
    there_is = {"imagenet": {"kind": "imagenet"}}
    assert trials.try_out(workflow(changes, **there_is), "s")
    changes["recipe.batches"] = {"size": 4}
    message = "per_channel .* 'imagenet' are files .*`normalization: given`"
    with pytest.raises(PruningError, match=message):
        trials.try_out(workflow(changes, **there_is), "s")


def test_what_is_known_follows_the_options_and_a_tree_of_one_s_own_is_not_known():
    assert known_facts({"kind": "cifar10", "size": 16}).shape == (3, 16, 16)
    assert known_facts({"kind": "tiny_imagenet", "path": "mine"}) is None
    assert known_facts({"kind": "image_folder", "path": "mine"}) is None
    assert prepared_facts("nothing/here") is None


def test_scores_look_at_two_images_once_the_whole_sample_was_found(make_task):
    sampled = trial.Sampled(make_task())
    assert [len(labels) for _, labels in sampled.scoring_batches(0, images_per_class=5)] == [2]
    assert sampled.scoring_batches(0, images_per_class=0) == []
    with pytest.raises(PruningError, match="Scoring wants 500"):
        sampled.scoring_batches(0, images_per_class=500)
