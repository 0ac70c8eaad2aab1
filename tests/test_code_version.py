import shutil

import pytest

from pruning import registry
from pruning.errors import PruningError
from pruning.running.code_version import ROOT, _inspect, code_version, modules, script_version


@pytest.fixture
def package(tmp_path):
    """A copy of the package whose files a test may edit."""
    shutil.copytree(ROOT, tmp_path / "pruning", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "pruning"


def edit(package, file, old, new):
    path = package / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    _inspect.cache_clear()
    code_version.cache_clear()


def versions(package):
    stages = {
        "dense": ("pruning.stages.dense", "pruning.models.small:small_cnn"),
        "prune": (
            "pruning.stages.prune",
            "pruning.masks.weights:prune_weights",
            "pruning.scores.magnitude:magnitude",
        ),
        "report": ("pruning.stages.report",),
        "retrain": ("pruning.systems.rewinding.stages.retrain", "pruning.models.small:small_cnn"),
        "figure": ("pruning.systems.rewinding.figures", "pruning.systems.rewinding.styles"),
    }
    return {name: code_version(*entries, root=package) for name, entries in stages.items()}


def changed(package, *edits):
    before = versions(package)
    for change in edits:
        edit(package, *change)
    after = versions(package)
    return {name for name in before if before[name] != after[name]}


def test_comments_docstrings_and_layout_change_nothing(package):
    assert not changed(
        package,
        ("training/loop.py", '"""Train from a state.', '"""Go on training.'),
        (
            "training/loop.py",
            "        groups = self.opt",
            "\n        # why\n\n        groups = self.opt",
        ),
    )


def test_a_changed_loop_changes_every_training_and_no_figure(package):
    assert changed(
        package, ("training/loop.py", "self.optimizer.step()", "self.optimizer.step(None)")
    ) == {
        "dense",
        "retrain",
    }


def test_a_changed_colour_changes_the_figure_alone(package):
    edits = ("systems/rewinding/styles.py", '"Fine-tuning", 2', '"Fine-tuning", 7')
    assert changed(package, edits) == {"figure"}


def test_a_score_and_a_network_change_only_those_that_use_them(package):
    assert changed(package, ("scores/magnitude.py", "weight.abs()", "weight.square()")) == {"prune"}
    assert changed(package, ("models/small.py", ".relu(), 2)", ".sigmoid(), 2)")) == {
        "dense",
        "retrain",
    }
    assert not changed(package, ("models/vgg.py", "nn.ReLU()", "nn.GELU()"))


def test_what_comes_after_dense_training_leaves_it_alone(package):
    edit_retraining = (
        "systems/rewinding/method.py",
        "rewound + (timeline",
        "rewound + 2 * (timeline",
    )
    assert changed(package, edit_retraining) == {"retrain"}
    edit_selection = ("masks/weights.py", "-score for", "score for")
    assert changed(package, edit_selection) == {"prune"}


def test_what_is_said_of_masks_cuts_and_trains_nothing_again(package):
    assert changed(package, ("masks/report.py", "BINS = 100", "BINS = 10")) == {"report"}
    assert changed(package, ("models/paths.py", "torch.mean(*args", "torch.amax(*args")) == {
        "report"
    }


def test_entries_of_one_module_are_different_versions():
    one, other = (code_version(f"pruning.models.resnet:resnet{d}") for d in (20, 32))
    assert one != other


def test_relative_imports_are_refused(tmp_path):
    (tmp_path / "a.py").write_text("from . import b\n")
    with pytest.raises(ValueError, match="relative imports"):
        code_version("pruning.a", root=tmp_path)


def test_new_rows_in_tables_change_nothing(package):
    assert not changed(
        package,
        ("registry.py", "NETWORKS = {", 'NETWORKS = {\n    "mine": "pruning.models.lenet:mlp",'),
        (
            "systems/rewinding/rules.py",
            "RULES = {",
            'RULES = {\n    "x": Rule("final", "final", "fresh", "final", "last"),',
        ),
    )


def test_stages_cover_what_decides_their_numbers():
    task = registry.entry("task kind", "classification")
    covered = set(modules("pruning.systems.rewinding.stages.retrain", task))
    assert {
        "pruning.data.batches",
        "pruning.masks.mask",
        "pruning.systems.rewinding.method",
        "pruning.seeds",
        "pruning.stages.outputs",
        "pruning.training.classification",
        "pruning.training.evaluate",
        "pruning.training.loop",
        "pruning.training.optimizers",
        "pruning.training.schedules",
        "pruning.training.state",
    } <= covered
    assert not {"pruning.registry", "pruning.study.study", "pruning.running.warm"} & covered
    with pytest.raises(FileNotFoundError):
        code_version("pruning.no_such_module")


def test_a_script_is_what_it_says(tmp_path):
    script = tmp_path / "a.py"

    def version(text):
        script.write_text(text)
        script_version.cache_clear()
        return script_version(script)

    plain = version("run(1, a=2)\n")
    assert version('"""What."""\n\n# why\nrun(1,\n    a=2)\n') == plain
    assert version("run(1, a=3)\n") != plain
    with pytest.raises(PruningError, match="a.py, line 1"):
        version("run(1,\n")
    other = tmp_path / "a.R"
    with pytest.raises(PruningError, match="a.R cannot be read"):
        script_version(other)
    other.write_text("run(1)")
    assert script_version(other) == script_version(other)
