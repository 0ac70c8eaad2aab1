"""Options are checked against the source of what takes them, and nothing is imported for it."""

import ast
import subprocess
import sys

import pytest
import torch
from torch import nn

from pruning import registry
from pruning.data.prepare import prepare
from pruning.errors import PruningError
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.options import RANGES, checked, signature
from pruning.training.optimizers import make
from pruning.training.recipe import OptimizerConfig
from tests.conftest import REPOSITORY

SOURCE = """
from collections.abc import Sequence
from functools import partial
from typing import Literal, Optional, Union
from elsewhere import imported
from pruning.option_types import BelowOne, Count as AtLeastOne, Positive
import pruning.option_types

def plain(shape, classes, width: int = 1, rate: float = 0.1, flag: bool = True, name: str = "x",
          anything=None, *, only: "int | None" = None, strange: dict[str, int] = {}):
    pass

def typed(shape, classes, *, widths: Sequence[int] = (1,), pair: tuple[BelowOne, float] = (0, 1),
          many: tuple[AtLeastOne, ...] = (), side: Literal["left", "right", 1] = "left",
          either: Union[int, str] = 1, perhaps: Optional[float] = None, implicit: int = None,
          positive: Positive = 1.0):
    pass

def needing(shape, classes, width: int):
    pass

def others(shape, classes, width: int = 1, **options):
    pass

class Base:
    def __init__(self, shape, classes, width: int = 1):
        pass

class Derived(Base):
    pass

class Foreign(imported.Base):
    pass

def _variant(depth):
    def make(shape, classes, width: int = depth):
        pass
    make.__doc__ = "x"
    return make

made = _variant(3)
alias = plain
bound = partial(plain, width=3)

@imported
def decorated(shape, classes):
    pass

def twice(shape, classes, a=1):
    pass

if imported:
    def twice(shape, classes, b=1):
        pass
"""
TREE = ast.parse(SOURCE)


def given(name, /, **options):
    return checked(signature(TREE, name), options, f"thing {name!r}", "where", 2)


@pytest.mark.parametrize("name", ["plain", "others", "Base", "Derived", "made", "alias"])
def test_options_are_found_in_functions_classes_and_what_functions_return(name):
    assert given(name, width=3) == {"width": 3}
    with pytest.raises(
        PruningError, match=f"^where.width is 'x'; the thing '{name}' takes a whole"
    ):
        given(name, width="x")
    if name != "others":
        with pytest.raises(PruningError, match=f"^where: .*'{name}' 'widht'. Did you mean 'width'"):
            given(name, widht=3)
    for leading in ("shape", "classes", "self"):
        if (name, leading) != ("others", "self"):
            with pytest.raises(PruningError, match=f"where: Unknown option .* '{leading}'"):
                given(name, **{leading: 1})


@pytest.mark.parametrize(
    "name", ["imported", "bound", "decorated", "twice", "Foreign", "nothing", "Sequence"]
)
def test_what_the_source_does_not_tell_is_left_to_the_job(name):
    assert signature(TREE, name) is None
    assert given(name, widht="x") == {"widht": "x"}


def test_functions_that_take_any_option_check_those_that_they_name():
    assert given("others", depth="x", width=2.0) == {"depth": "x", "width": 2}


def test_a_missing_option_is_named():
    assert given("needing", width=2) == {"width": 2}
    with pytest.raises(PruningError, match="where: the thing 'needing' needs the option 'width'"):
        given("needing")


@pytest.mark.parametrize(
    ("name", "option", "right", "wrong", "wanted"),
    [
        ("plain", "width", [1, -3, 2.0], [1.5, "1", True, None, [1], 1e300], "a whole number"),
        ("plain", "rate", [1, -3, 0.5], ["0.5", True, None, [0.5], float("nan")], "a number"),
        ("plain", "flag", [True, False], [0, 1, "yes", None], "true or false"),
        ("plain", "name", ["", "x"], [1, None, ["x"], True], "a text"),
        ("plain", "anything", [None, 1, "x", [True]], [], ""),
        ("plain", "strange", [None, 1, "x"], [], ""),
        ("plain", "only", [None, 3, 3.0], ["3", 0.5], "a whole number or null"),
        ("typed", "widths", [[], [1, 2], (3,), [4.0]], [1, "12", {"a": 1}], "a list"),
        ("typed", "widths", [], [[0.5], ["1"], [1, None]], "a list, each entry a whole number"),
        ("typed", "pair", [[0, 5], [0.9, -1]], [[0.5], [0, 1, 2]], "a list of 2"),
        ("typed", "pair", [], [[1, 0.5], [-0.1, 1], [True, 1]], "each entry .* less than 1"),
        ("typed", "many", [[], [1, 7], [2.0]], [[0], [1, -2]], "a whole number of at least 1"),
        ("typed", "side", ["left", 1], ["lef", 3, None, True], "'left' or 'right' or 1"),
        ("typed", "either", [1, "x", 2.0], [0.5, None], "a whole number or a text"),
        ("typed", "perhaps", [None, 0.5], ["x"], "a number or null"),
        ("typed", "implicit", [None, 5], ["x"], "a whole number"),
        ("typed", "positive", [0.1, 3], [0, -1, "1"], "a number greater than 0"),
    ],
)
def test_values_are_of_the_type_that_is_written_there(name, option, right, wrong, wanted):
    for value in right:
        assert given(name, **{option: value}) == {option: value}
        assert isinstance(given(name, **{option: value})[option], type(value) | int)
    for value in wrong:
        with pytest.raises(PruningError, match=rf"^where\.{option} is .* takes .*{wanted}"):
            given(name, **{option: value})


def test_whole_numbers_written_with_a_point_become_whole():
    found = given("typed", widths=[4.0, 3], many=(2.0,))
    assert repr(found) == repr({"widths": [4, 3], "many": (2,)})
    assert repr(given("plain", rate=4.0, width=2.0)) == repr({"rate": 4.0, "width": 2})
    with pytest.raises(PruningError, match="whole"):
        given("plain", width=float(2**53))  # such a float may have been another number


def test_a_text_that_reads_as_a_number_says_why():
    with pytest.raises(PruningError, match="YAML takes 5e-4 for a text, so write 5.0e-4"):
        given("plain", rate="5e-4")


def test_names_of_ranges_mean_them_only_where_they_are_imported():
    tree = ast.parse("def f(a, momentum: BelowOne = 0):\n    pass\n")
    assert checked(signature(tree, "f"), {"momentum": 3}, "f", "w", 1) == {"momentum": 3}
    types = ast.parse((REPOSITORY / "src/pruning/option_types.py").read_text(encoding="utf-8"))
    named = {n.targets[0].id for n in types.body if isinstance(n, ast.Assign)}
    assert named == set(RANGES)


# What there is.


@pytest.mark.parametrize("kind", ["network", "data set kind", "score", "optimizer"])
def test_everything_of_this_package_says_what_it_takes(kind):
    for name in registry.known(kind):
        with pytest.raises(PruningError, match=f"there: Unknown option of the {kind} '{name}' 'x'"):
            registry.checked_options(kind, name, {"x": 1, "path": "here"}, "there")


def test_reading_options_imports_no_torch():
    code = (
        "import sys; from pruning import registry\n"
        "for kind in ('network', 'data set kind', 'score', 'optimizer'):\n"
        "    for name in registry.known(kind):\n"
        "        registry._signature(kind, name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "sgd",
            {"momntum": 0.9},
            "option of the optimizer 'sgd' 'momntum'. Did you mean 'momentum'",
        ),
        ("sgd", {"nesterov": "no"}, "nesterov is 'no'; the optimizer 'sgd' takes true or false"),
        ("sgd", {"momentum": 1.0}, "at least 0 and less than 1"),
        ("sgd", {"fused": True}, "Unknown option"),
        ("sgd", {"groups": []}, "Unknown option"),
        ("adam", {"betas": [0.9, 1.0]}, "at least 0 and less than 1"),
        ("adam", {"betas": [0.9]}, "a list of 2"),
        ("adam", {"eps": 0}, "greater than 0"),
        ("adam", {"momentum": 0.9}, "Unknown option"),
        ("gsm", {"reselect": "false"}, "true or false"),
        ("gsm", {"momentum": 1.5}, "at least 0 and less than 1"),
    ],
)
def test_a_library_user_hears_the_same(name, options, message):
    with pytest.raises(PruningError, match=message):
        make(OptimizerConfig(name, options=options), nn.Linear(2, 2))


def test_optimizers_are_torchs_with_these_options():
    module = nn.Linear(2, 2)
    sgd = make(OptimizerConfig("sgd", 0.1, (), {"momentum": 0.9, "nesterov": True}), module)
    (theirs,) = torch.optim.SGD(
        module.parameters(), momentum=0.9, nesterov=True, weight_decay=0.1, lr=0.0, fused=True
    ).param_groups
    assert theirs | {"relative_rate": 1.0, "ranked": True} == sgd.param_groups[0] | {
        "params": theirs["params"]
    }
    adam = make(OptimizerConfig("adam", options={"betas": [0.8, 0.9], "amsgrad": True}), module)
    (theirs,) = torch.optim.Adam(
        module.parameters(), betas=(0.8, 0.9), amsgrad=True, lr=0.0, fused=True
    ).param_groups
    assert theirs | {"relative_rate": 1.0, "ranked": True} == adam.param_groups[0] | {
        "params": theirs["params"]
    }
    with pytest.raises(PruningError, match="'sgd' does not take its options: Nesterov"):
        make(OptimizerConfig("sgd", options={"nesterov": True}), module)


@pytest.mark.parametrize("options", [{"name": "x"}, {"root": "/"}, {"size": "big"}, {"sise": 8}])
def test_data_sets_of_a_library_user_too(options, tmp_path):
    with pytest.raises(PruningError, match="data set 'mine'"):
        prepare("mine", "cifar10", tmp_path, options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("small_cnn", {"widths": [4, 8], "hidden": 5}), ("resnet8", {"widths": [4, 4, 4]})],
)
def test_networks_take_what_is_let_through(name, options):
    told = registry.checked_options("network", name, options, "options")
    build(NetworkConfig(name, options=told), (1, 8, 8), 10, 0)
