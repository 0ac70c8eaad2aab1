import pytest
import yaml

from pruning.errors import PruningError
from pruning.study import find_study, load_study, study_names
from pruning.workflow import Workflow
from tests.conftest import REPOSITORY, SCHEMAS

STUDIES = REPOSITORY / "config" / "studies"
SCHEMA = SCHEMAS / "study.schema.yaml"


def write(tmp_path, name="s", changes=None, **more):
    """The digits study with changes; a value of None removes the key, dots go inside."""
    document = yaml.safe_load((STUDIES / "digits.yaml").read_text())
    for dotted, value in ((changes or {}) | more).items():
        *parents, key = dotted.split("__") if isinstance(dotted, str) else [dotted]
        place = document
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[key]
        else:
            place[key] = value
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("name", study_names(STUDIES))
def test_every_shipped_study_is_valid(name):
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    config["study_folder"] = str(STUDIES)
    study = Workflow(config, SCHEMAS).study(name)
    assert study.name == name
    assert list(study.rewinding.cells())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe__epoch": 3}, "unknown key 'epoch' in recipe. Did you mean 'epochs'"),
        ({"recipe__epochs": "ten"}, "recipe.epochs is 'ten'; it must be of type number"),
        ({"recipe__epochs": -1}, "recipe.epochs is -1; it must be greater than 0"),
        ({"recipe__batches": None}, "recipe lacks the key 'batches'"),
        ({"rewinding__scope": "globl"}, "rewinding.scope is 'globl'. Did you mean 'global'"),
        ({"rewinding__methods": ["lr_rewindd"]}, "Did you mean 'lr_rewind'.*weight_rewind"),
        ({"rewinding__methods": []}, "rewinding.methods is .*at least 1"),
        ({"rewinding__score": "magnitud"}, "Unknown score 'magnitud'. Did you mean 'magnitude'"),
        ({"rewinding__retrain_times": [21]}, r"retrain time 21 lies outside \(0, 20\]"),
        ({"rewinding__retrain_times": [0]}, r"retrain time 0 lies outside"),
        ({"rewinding__densities": [0.5]}, "either `levels`"),
        ({"rewinding__levels": None, "rewinding__densities": [1.5]}, r"1.5.*outside \(0, 1\]"),
        ({"rewinding__levels": None, "rewinding__densities": [0.5, 0]}, r"0 in.*outside \(0, 1\]"),
        ({"rewinding__levels": None, "rewinding__densities": [0.2, 0.5]}, "must fall"),
        ({"network__name": "resnet_20"}, "Unknown network 'resnet_20'. Did you mean 'resnet20'"),
        ({"network__initialization": "he"}, "Unknown initialization 'he'"),
        ({"recipe__optimizer": {"name": "sdg"}}, "Unknown optimizer 'sdg'. Did you mean 'sgd'"),
        ({"seeds": [0, 0]}, "seeds is .*must differ"),
        ({"extends": "digit"}, "Unknown study 'digit'"),
        ({"extends": "s"}, "goes in a circle"),
        ({"recipe__optimizer": {"weight_decay": "5e-4"}}, "write 5.0e-4"),
        ({"recipe__epochs": float("inf")}, "finite numbers"),
        ({"recipe__schedule": {"learning_rate": 0.1, "milestones": [3, 2]}}, "rising order"),
        ({"rewinding__retrain_times": [1e-9]}, "plain number of epochs"),
        ({12: "x"}, "unknown key '12'"),
    ],
)
def test_mistakes_name_the_key_its_value_and_what_is_allowed(tmp_path, changes, message):
    path = write(tmp_path, changes=changes)
    with pytest.raises(PruningError, match=message) as error:
        load_study(path, SCHEMA)
    assert "s.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_study_data_set_and_kind(tmp_path):
    with pytest.raises(PruningError, match="Unknown study 'digit'. Did you mean 'digits'"):
        find_study("digit", STUDIES, SCHEMA)
    write(tmp_path, dataset="digts")
    config = {
        "studies": ["s"],
        "study_folder": str(tmp_path),
        "datasets": {"digits": {"kind": "digits"}},
    }
    with pytest.raises(PruningError, match="Unknown data set 'digts'. Did you mean 'digits'"):
        Workflow(config, SCHEMAS)
    config["datasets"] = {"digts": {"kind": "digit"}}
    with pytest.raises(PruningError, match="Unknown data set kind 'digit'"):
        Workflow(config, SCHEMAS)
    with pytest.raises(PruningError, match="unknown key 'study'"):
        Workflow({**config, "study": "x"}, SCHEMAS)


def test_files_that_are_no_studies(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(PruningError, match="a.yaml is not YAML"):
        load_study(tmp_path / "a.yaml", SCHEMA)
    (tmp_path / "b.yaml").write_text("- 1")
    with pytest.raises(PruningError, match="must hold keys and values"):
        load_study(tmp_path / "b.yaml", SCHEMA)
    with pytest.raises(PruningError, match="cannot be read"):
        load_study(tmp_path / "c.yaml", SCHEMA)


def test_extending_merges_nested_keys(tmp_path):
    write(tmp_path, "base")
    (tmp_path / "child.yaml").write_text("extends: base\nrecipe: {schedule: {gamma: 0.5}}\n")
    base = load_study(tmp_path / "base.yaml", SCHEMA)
    child = load_study(tmp_path / "child.yaml", SCHEMA)
    assert child.task["recipe"]["schedule"]["gamma"] == 0.5
    assert child.task["recipe"]["schedule"]["learning_rate"] == 0.1
    assert child.task["network"] == base.task["network"]


def test_states_are_kept_for_times_of_methods_that_are_not_run(tmp_path):
    study = load_study(write(tmp_path, rewinding__methods=["fine_tune"]), SCHEMA)
    assert study.rewinding.all_times() == (18, 20)
