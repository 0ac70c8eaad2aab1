"""How the package is built: ground, frame and wings, and which may know of which."""

import ast
import re

import pytest

from pruning.systems import systems
from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "src" / "pruning"
WINGS = sorted(path.parent for path in (SOURCE / "systems").glob("*/__init__.py"))
COMMON = [path for path in SOURCE.rglob("*.py") if not any(w in path.parents for w in WINGS)]
RULES = ("common", "data", "dense", "prune", "figures", "published")
WORKFLOW = [
    REPOSITORY / "workflow" / "Snakefile",
    *(REPOSITORY / "workflow" / "rules" / f"{name}.smk" for name in RULES),
    REPOSITORY / "workflow" / "schemas" / "study.schema.yaml",
]
GROUND = ("data", "models", "training", "masks", "scores")
BELOW_GROUND = (
    "registry",
    "errors",
    "files",
    "seals",
    "checks",
    "locks",
    "option_types",
    "seeds",
    "share",
)
ROOMS = {"system", "section", "places", "asks", "catalog", "claims", "evidence"}

# What may be said all the same.
EXCEPTIONS = {
    # The one table of systems.
    "systems/__init__.py": {
        "pruning.systems.rewinding.system:SYSTEM",
        "pruning.systems.at_init.system:SYSTEM",
        "pruning.systems.gsm.system:SYSTEM",
        "pruning.systems.gem_miner.system:SYSTEM",
        "pruning.systems.prunetrain.system:SYSTEM",
    },
}


def names():
    return [system.name for system in systems()]


def mentions(text, known):
    """Whether a text has a name as a word; AtInit, AT_INIT and at_init_ylim have at_init."""
    spelled = {text.lower(), re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()}
    words = "|".join(map(re.escape, known))
    return any(re.search(f"(?<![a-z0-9])({words})(?![a-z0-9])", s) for s in spelled)


def said(tree):
    """Every identifier, string and import of a module, docstrings left out."""
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(first.value)
    for node in ast.walk(tree):
        if node in docstrings:
            continue
        for _, value in ast.iter_fields(node):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    yield text


def imported(tree):
    """Modules that a tree imports, with what is taken of each: "pruning.files.digest"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def strings(tree):
    return [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is str]


def relative(path):
    return path.relative_to(SOURCE).as_posix()


def test_the_search_finds_what_it_is_for():
    tree = ast.parse(
        '"""Of gsm."""\nfrom pruning.systems import gsm\n'
        'def f(at_init=1):\n    """gsm"""\n    return AtInit, "a GSM", x.rewinding\n'
    )
    found = [text for text in said(tree) if mentions(text, ["gsm", "at_init", "rewinding"])]
    assert sorted(found) == ["AtInit", "a GSM", "at_init", "gsm", "rewinding"]
    assert not mentions("rewind_state", ["rewinding"])


def test_the_wings_are_the_systems():
    assert sorted(names()) == [wing.name for wing in WINGS]


@pytest.mark.parametrize("path", COMMON, ids=relative)
def test_ground_and_frame_name_no_system(path):
    found = {text for text in said(ast.parse(path.read_text())) if mentions(text, names())}
    assert found == EXCEPTIONS.get(relative(path), set())


@pytest.mark.parametrize("path", WORKFLOW, ids=lambda path: path.name)
def test_rules_of_the_frame_name_no_system(path):
    lines = path.read_text().splitlines()
    code = [re.sub(r"(^|\s)#.*", "", line) for line in lines]
    assert [line for line in code if mentions(line, names())] == []


@pytest.mark.parametrize("wing", WINGS, ids=lambda wing: wing.name)
def test_no_wing_knows_another(wing):
    others = tuple(f"pruning.systems.{o.name}" for o in WINGS if o != wing)
    for path in wing.rglob("*.py"):
        tree = ast.parse(path.read_text())
        known = [*imported(tree), *strings(tree)]
        assert [k for k in known for other in others if re.match(rf"{other}\b", k)] == [], path


@pytest.mark.parametrize("wing", WINGS, ids=lambda wing: wing.name)
def test_every_wing_has_the_same_rooms(wing):
    rooms = {path.stem for path in wing.glob("*.py")} | {
        path.parent.name for path in wing.glob("*/__init__.py")
    }
    assert rooms >= ROOMS
    (system,) = (system for system in systems() if system.name == wing.name)
    assert (REPOSITORY / "workflow" / "rules" / system.rules).is_file()
    assert (REPOSITORY / "workflow" / "schemas" / "systems" / f"{wing.name}.yaml").is_file()


@pytest.mark.parametrize("package", GROUND)
def test_ground_stands_by_itself(package):
    allowed = (*GROUND, *BELOW_GROUND)
    for path in (SOURCE / package).rglob("*.py"):
        ours = [n for n in imported(ast.parse(path.read_text())) if n.split(".")[0] == "pruning"]
        assert [n for n in ours if n.split(".")[1] not in allowed] == [], path
