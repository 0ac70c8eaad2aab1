"""Networks, scores, ... from outside the package: files, references, entry points."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from pruning import extensions, registry
from pruning.data.prepare import prepare
from pruning.errors import PruningError
from pruning.library import load_data
from pruning.masks.weights import prune
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.running.code_version import _inspect, code_version, modules
from pruning.running.jobs import job
from pruning.study.asks import Workflow
from pruning.training.optimizers import make
from pruning.training.recipe import OptimizerConfig
from tests.conftest import REPOSITORY, SCHEMAS

NETS = '''
"""Mine."""
from torch import nn

from layers import hidden

NETWORKS = {"my_net": "MyNet"}


class MyNet(nn.Module):
    def __init__(self, shape, classes, width=8):
        super().__init__()
        channels, height, columns = shape
        self.fc1 = nn.Linear(channels * height * columns, hidden(width))
        self.fc2 = nn.Linear(hidden(width), classes)

    def forward(self, x):
        return self.fc2(self.fc1(x.flatten(1)).relu())
'''
LAYERS = "def hidden(width):\n    return 2 * width\n"
SCORING = """
import torch

SCORES = {"squared": "squared"}
OPTIMIZERS = {"plain": "plain"}
INITIALIZATIONS = {"halves": "halves"}
DATASET_KINDS = {"my_digits": "my_digits"}
PRUNERS = {"mine": "my_pruner"}


def squared(context, power=2):
    return {name: weight.abs() ** power for name, weight in context.weights.items()}


def plain(groups, **options):
    return torch.optim.SGD(groups, lr=0.0, **options)


def halves(module, seed):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.5)


def my_digits(name, root):
    from pruning.data.digits import digits
    return digits(name, root)


def my_pruner(task, state, *, seed, purpose):
    raise NotImplementedError
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """Each test has files and names of its own."""
    path, loaded = list(sys.path), set(sys.modules)
    registry._EXTENDED.clear()
    forget()
    yield
    registry._EXTENDED.clear()
    forget()
    sys.path[:] = path
    for name in set(sys.modules) - loaded:
        if name in ("layers", "plugin") or name.startswith(("plugin.", "pruning_extension_")):
            del sys.modules[name]


def forget():
    """As a new process does: what is read once for a run is read again."""
    _inspect.cache_clear()
    code_version.cache_clear()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A working directory with mine/nets.py, which imports mine/layers.py, and mine/scoring.py."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "nets.py").write_text(NETS)
    (folder / "layers.py").write_text(LAYERS)
    (folder / "scoring.py").write_text(SCORING)
    return folder


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    forget()


STUDY = {
    "dataset": "digits",
    "network": {"name": "mine/nets.py:MyNet", "initialization": "halves"},
    "seeds": [0],
    "recipe": {
        "epochs": 2,
        "batches": {"size": 64},
        "optimizer": {"name": "plain", "options": {"momentum": 0.9}},
        "schedule": {"learning_rate": 0.1},
    },
    "rewinding": {
        "methods": ["lr_rewind"],
        "levels": 1,
        "retrain_times": [1],
        "score": "squared",
    },
}


def workflow(folder, files=("mine/scoring.py",), study=STUDY):
    (folder / "s.yaml").write_text(yaml.safe_dump(study))
    config = {
        "studies": ["s"],
        "study_folder": str(folder),
        "datasets": {"digits": {"kind": "my_digits" if files else "digits"}},
        "extensions": list(files),
    }
    return Workflow(config, SCHEMAS)


def test_each_kind_of_thing_from_a_file(mine, make_task):
    registry.extend(["mine/nets.py", "./mine/scoring.py"])
    module = build(NetworkConfig("my_net", "halves", {"width": 4}), (1, 8, 8), 10, 0)
    assert module.fc1.weight.shape == (8, 64)
    assert (module.fc2.weight == 0.5).all()
    optimizer = make(OptimizerConfig("plain", 0.0, (), {"momentum": 0.5}), module)
    assert isinstance(optimizer, torch.optim.SGD)
    assert prepare("d", "my_digits", Path(), {}).train_images.shape == (1352, 8, 8, 1)
    assert registry.find("pruner", "mine").__name__ == "my_pruner"
    task = make_task()
    state = task.initial_state(0)
    ours, theirs = (prune(task, state, 0.5, score=s) for s in ("magnitude", "squared"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert registry.options("network", "my_net") == ["classes", "width"]
    assert registry.options("score", "squared") == ["power"]
    assert "my_net" in registry.known("network")
    with pytest.raises(PruningError, match="has no option 'depth'"):
        build(NetworkConfig("my_net", options={"depth": 4}), (1, 8, 8), 10, 0)


def test_a_file_runs_once_for_its_content_and_classes_may_inherit_their_constructor(mine):
    mine.joinpath("nets.py").write_text(NETS + "\n\nclass Other(MyNet):\n    pass\n")
    assert registry.options("network", "mine/nets.py:Other") == ["classes", "width"]
    one, same = (registry.find("network", "mine/nets.py:Other").__wrapped__ for _ in "ab")
    assert one is same
    replace(mine / "nets.py", "width=8", "width=9")
    assert registry.find("network", "mine/nets.py:Other").__wrapped__ is not one


def test_studies_are_told_where_code_is_and_built_in_names_stay(mine):
    plan = workflow(mine)
    study = plan.study("s")
    assert study.task["network"]["name"] == "mine/nets.py:MyNet"
    assert study.task["network"]["initialization"] == "mine/scoring.py:halves"
    assert study.task["recipe"]["optimizer"]["name"] == "mine/scoring.py:plain"
    first, *_ = study.part("rewinding").modes["iterative"].prunings
    assert first["score"] == "mine/scoring.py:squared"
    assert plan.dataset_options("digits") == {"kind": "mine/scoring.py:my_digits"}
    assert registry.reference("network", "mlp") == "mlp"
    registry._EXTENDED.clear()  # a job has no tables
    assert study.code_entries()[1] == "mine/nets.py:MyNet"


def test_reading_runs_no_code_and_imports_no_torch(mine):
    mine.joinpath("nets.py").write_text(NETS + "\nraise SystemExit('ran')\n")
    code = (
        "import sys; from pruning import registry; registry.extend(['mine/nets.py']);"
        "registry.options('network', 'my_net'); assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(REPOSITORY / "src")}
    subprocess.run([sys.executable, "-c", code], cwd=mine.parent, env=environment, check=True)


def test_a_package_declares_an_entry_point(tmp_path, monkeypatch):
    package, info = tmp_path / "plugin", tmp_path / "plugin-1.dist-info"
    package.mkdir()
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    info.joinpath("entry_points.txt").write_text("[pruning.extensions]\nx = plugin.tables\n")
    package.joinpath("__init__.py").write_text("")
    package.joinpath("tables.py").write_text('NETWORKS = {"plugged": "plugin.nets:Net"}\n')
    text = NETS.replace("MyNet", "Net").replace("from layers", "from .layers")
    package.joinpath("nets.py").write_text(text)
    package.joinpath("layers.py").write_text(LAYERS)
    monkeypatch.syspath_prepend(tmp_path)
    registry.extend([])
    assert "plugin" not in sys.modules
    assert registry.reference("network", "plugged") == "plugin.nets:Net"
    assert registry.options("network", "plugged") == ["classes", "width"]
    assert modules("plugin.nets") == ["plugin.layers", "plugin.nets"]
    before = code_version("plugin.nets:Net")
    assert build(NetworkConfig("plugin.nets:Net"), (1, 8, 8), 10, 0).fc1.out_features == 16
    replace(package / "layers.py", "2 * width", "3 * width")
    assert code_version("plugin.nets:Net") != before
    info.joinpath("entry_points.txt").write_text("[pruning.extensions]\nx = plugin.gone\n")
    monkeypatch.syspath_prepend(tmp_path)  # forgets what was found before
    with pytest.raises(PruningError, match="'x' .* names the module 'plugin.gone'"):
        registry.extend([])


def test_names_clash_and_both_files_are_named(mine):
    replace(mine / "nets.py", '"my_net"', '"mlp"')
    with pytest.raises(PruningError) as clash:
        registry.extend(["mine/nets.py"])
    assert str(clash.value).startswith("mine/nets.py, line 7: the network 'mlp' is also in ")
    assert "registry.py" in str(clash.value)
    replace(mine / "nets.py", '"mlp"', '"my_net"')
    mine.joinpath("again.py").write_text('\nNETWORKS = {"my_net": "f"}\ndef f(): pass\n')
    with pytest.raises(PruningError) as clash:
        registry.extend(["mine/nets.py", "mine/again.py"])
    assert "mine/again.py, line 2: " in str(clash.value)
    assert "also in mine/nets.py, line 7" in str(clash.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('NETWORKS = {"a": "Gone"}\nclass Gene: pass\n',
         "mine/bad.py, line 1, NETWORKS: mine/bad.py defines no 'Gone'. Did you mean 'Gene'?"),
        ('NETWORKS = {"a": "no_such_package.nets:Net"}\n', "no module 'no_such_package.nets' is"),
        ('NETWORKS = {"a": "gone.py:Net"}\n', "there is no file mine/gone.py in "),
        ("x = 1\nNETWORKS = dict(a='b')\n", "mine/bad.py, line 2: NETWORKS must be a dict of"),
        ('NETWORKS = {"a": 3}\n', "mine/bad.py, line 1: NETWORKS must be a dict of"),
        ('NETWORKS = {"a:b": "c"}\n', "'a:b' is no name"),
        ("x = 1\n", "mine/bad.py declares no table. Tables: NETWORKS, "),
        ('NETWORKS = {"a": "f"}\nfrom .layers import f\n', "line 2: a single file cannot import"),
        ("x = 1\n\ndef f(:\n", "mine/bad.py, line 3: invalid syntax."),
    ],
)  # fmt: skip
def test_faults_of_a_file_are_found_when_it_is_read(mine, text, message):
    mine.joinpath("bad.py").write_text(text)
    with pytest.raises(PruningError) as error:
        registry.extend(["mine/bad.py"])
    assert message in str(error.value)


def test_faults_of_references_are_found_before_anything_trains(mine):
    with pytest.raises(PruningError, match="there is no Python file mine/gone.py"):
        workflow(mine, ["mine/gone.py"])
    for name, message in (
        ("mine/gone.py:MyNet", "s.yaml: 'mine/gone.py:MyNet' names nothing: there is no file"),
        ("mine/nets.py:MyNett", "mine/nets.py defines no 'MyNett'. Did you mean 'MyNet'?"),
        ("my_nett", "Unknown network 'my_nett'. Did you mean 'my_net'?"),
    ):
        study = STUDY | {"network": {"name": name}}
        with pytest.raises(PruningError) as error:
            workflow(mine, ["mine/nets.py", "mine/scoring.py"], study)
        assert message in str(error.value)


def test_errors_in_a_file_name_file_and_line(mine, make_task, tmp_path, capsys):
    config = NetworkConfig("mine/nets.py:MyNet")
    replace(mine / "layers.py", "2 * width", "2 * width // 0")
    with pytest.raises(PruningError) as error:
        build(config, (1, 8, 8), 10, 0)
    # the innermost line of the user's own
    assert str(error.value) == (
        "mine/layers.py, line 2 in hidden: ZeroDivisionError: integer division or modulo by zero."
    )
    sys.modules.pop("layers")
    replace(mine / "layers.py", " // 0", "")
    replace(mine / "nets.py", "        super()", "        nn.Linear(0.5, 1)\n        super()")
    with pytest.raises(PruningError, match=r"^mine/nets.py, line 12 in __init__: TypeError: "):
        build(config, (1, 8, 8), 10, 0)
    replace(mine / "nets.py", "nn.Linear(0.5, 1)", "pass")
    replace(mine / "nets.py", "from torch", "import no_such_module\nfrom torch")
    with pytest.raises(PruningError, match=r"nets.py, line 3: ModuleNotFoundError: No module"):
        build(config, (1, 8, 8), 10, 0)
    replace(mine / "nets.py", "import no_such_module\n", "")
    replace(mine / "nets.py", "self.fc2(self", "self.fc3(self")
    model = build(config, (1, 8, 8), 10, 0)
    with pytest.raises(SystemExit), job(tmp_path / "log"):
        model(torch.zeros(1, 1, 8, 8))
    assert "Error: mine/nets.py, line 19 in forward: AttributeError" in capsys.readouterr().err
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_weights_that_no_initialization_draws_and_buffers_have_their_values(mine):
    line, config = "        super().__init__()\n", NetworkConfig("mine/nets.py:MyNet")
    buffer = "        self.register_buffer('scale', torch.ones(1))\n"
    replace(mine / "nets.py", line, line + buffer)
    replace(mine / "nets.py", "from torch import nn", "import torch\nfrom torch import nn")
    assert build(config, (1, 8, 8), 10, 0).scale.item() == 1
    replace(mine / "nets.py", buffer, "        self.norm = nn.LayerNorm(4)\n")
    norm = build(config, (1, 8, 8), 10, 0).norm
    assert norm.weight.tolist() == [1] * 4
    assert norm.bias.tolist() == [0] * 4


def test_a_neighbour_that_hides_behind_another_module_is_refused(mine):
    replace(mine / "nets.py", "from layers import hidden", "from string import capwords as hidden")
    mine.joinpath("string.py").write_text(LAYERS)
    with pytest.raises(PruningError, match="imports 'string', which is .* and not mine/string.py"):
        registry.load("mine/nets.py:MyNet")


def test_code_versions_follow_edits_but_not_comments(mine):
    entries = ("mine/nets.py:MyNet", "mine/scoring.py:squared", "pruning.models.lenet:mlp")

    def changed(file, old, new):
        before = {e: code_version("pruning.stages.prune", e) for e in entries}
        replace(mine / file, old, new)
        return [e for e in entries if code_version("pruning.stages.prune", e) != before[e]]

    assert not changed("nets.py", '"""Mine."""', '"""Mine!"""')
    assert not changed("nets.py", "        return", "        # why\n        return")
    assert not changed("layers.py", "    return", "    # why\n    return")
    assert changed("nets.py", ".relu()", ".sigmoid()") == [entries[0]]
    assert changed("layers.py", "2 * width", "3 * width") == [entries[0]]
    assert changed("scoring.py", "power=2", "power=4") == [entries[1]]
    covered = modules("mine/scoring.py:my_digits")
    assert {"mine/scoring.py", "pruning.data.digits"} <= set(covered)


def test_notebooks_prepare_a_changed_reader_again(mine, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(mine / "cache"))
    for _ in range(2):
        load_data("mine/scoring.py:my_digits")
    assert len(list((mine / "cache").rglob("*.safetensors"))) == 1
    replace(mine / "scoring.py", "digits(name, root)\n", "digits(name, root)\n    pass\n")
    load_data("mine/scoring.py:my_digits")
    assert len(list((mine / "cache").rglob("*.safetensors"))) == 2


def test_paths_in_messages_are_relative_where_they_can_be(mine, tmp_path):
    assert extensions.shown(tmp_path / "mine" / "nets.py") == "mine/nets.py"
    assert extensions.shown(Path("/elsewhere/x.py")) == "/elsewhere/x.py"


SYSTEM = """
from pruning.systems.system import System

SYSTEMS = {"outside": "SYSTEM"}
PAIR = (1, 2)
SYSTEM = System("outside", "", "", entries={"score": {"squared": "mine/scoring.py:squared"}})
"""


@pytest.fixture
def outside(mine, monkeypatch):
    monkeypatch.setenv("PRUNING_SYSTEMS", "")  # put back afterwards
    Path("mine/outside.py").write_text(SYSTEM)
    yield mine
    registry.extend([])


def test_a_system_from_outside_adds_names_that_are_free(outside):
    registry.extend(["mine/outside.py"])
    assert "squared" in registry.known("score")
    assert registry.load("mine/outside.py:PAIR") == (1, 2)
    registry.extend(["mine/outside.py", "mine/scoring.py"])  # the same squared
    replace(Path("mine/outside.py"), "scoring.py:squared", "scoring.py:plain")
    with pytest.raises(PruningError, match="outside adds the score 'squared', which is taken"):
        registry.extend(["mine/outside.py", "mine/scoring.py"])
    replace(Path("mine/outside.py"), '"squared"', '"magnitude"')
    with pytest.raises(PruningError, match="outside adds the score 'magnitude', which is taken"):
        registry.extend(["mine/outside.py"])
    Path("mine/outside.py").unlink()
    registry.extend([])  # what was taken before is forgotten
    assert "squared" not in registry.known("score")
