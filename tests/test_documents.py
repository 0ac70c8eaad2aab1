"""YAML and other texts: one encoding everywhere, and no key twice."""

import ast
import os
import subprocess
import sys

import pytest
import yaml

from pruning.errors import PruningError
from pruning.study.documents import check_documents, read_document
from pruning.study.study import load_study
from tests.conftest import REPOSITORY, SCHEMAS

CONFIGURATIONS = sorted((REPOSITORY / "config").rglob("*.yaml"))
SCHEMA = SCHEMAS / "study.schema.yaml"


def refused(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PruningError) as error:
        read_document(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ", line 3: the key 'a' is there twice, first in line 1"),
        ("x:\n  - {a: 1,\n     'a': 2}\n", ", line 3: the key 'a' is there twice, first in line 2"),
        ("x: {b: {c: 1,\n c: 1}}\n", ", line 2: the key 'c' is there twice"),
        ("yes: 1\ntrue: 2\n", ", line 2: the key 'true' is there twice"),
        ("10: 1\n0xa: 2\n", ", line 2: the key '0xa' is there twice"),
        ("a: &a [*a]\n", ", line 1: this contains itself"),
        ("a: " + "[" * 5000 + "]" * 5000, ", line 1: this contains itself, or more"),
        ("a: [", " is not YAML: while parsing"),
        ("a:\n\tb: 1\n", " is not YAML: while scanning"),
        ("a: !!python/object/apply:os.system [ls]", " is not YAML: could not determine"),
        ("[a]: 1\n", " is not YAML: while constructing a mapping"),
        ("a: 2024-13-45\n", " has a value that cannot be read: month must be in 1..12"),
        (b"title: Gr\xf6\xdfe\n", " is not UTF-8: byte 9 is 0xf6"),
        ("title: Größe".encode("utf-16"), " is not UTF-8: byte 0 is 0xff"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused_by_line(tmp_path, text, message):
    assert refused(tmp_path / "x.yaml", text).startswith(message)


def test_aliases_that_multiply_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 10)}]" for k in range(7)]
    assert "1,000,000 values" in refused(tmp_path / "x.yaml", "\n".join(lines))


def test_anchors_merges_marks_and_colons_within_braces_are_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(
        "\ufefftitle: Größe 网络\r\nbase: &b {c: 1, d: 2}\r\nmore: {<<: *b, c: 3}\r\n"
        "same: *b\r\nnetwork: {name: mine/nets.py:Net, empty:, last: 1}\r\n".encode()
    )
    assert read_document(path) == {
        "title": "Größe 网络",
        "base": {"c": 1, "d": 2},
        "more": {"c": 3, "d": 2},
        "same": {"c": 1, "d": 2},
        "network": {"name": "mine/nets.py:Net", "empty": None, "last": 1},
    }
    path.write_text("")
    assert read_document(path) is None
    with pytest.raises(PruningError, match=r"y.yaml cannot be read \(No such file"):
        read_document(tmp_path / "y.yaml")
    check_documents([path, tmp_path / "y.yaml"])
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(PruningError, match="the key 'a' is there twice"):
        check_documents([tmp_path / "y.yaml", path])


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_shipped_documents_are_what_yaml_says(path):
    assert read_document(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


# Encodings.

LOCALE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
ELSEWHERE = {"tarfile", "Image", "os", "zipfile"}  # whose `open` opens no text


def _without_encoding(tree):
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function, given = node.func, {keyword.arg for keyword in node.keywords}
        method = isinstance(function, ast.Attribute)
        name = function.attr if method else getattr(function, "id", "")
        owner = getattr(function.value, "id", "") if method else ""
        words = [part.value for part in node.args if isinstance(part, ast.Constant)]
        words += [k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)]
        binary = any(isinstance(word, str) and "b" in word and len(word) < 4 for word in words)
        if method and name in ("read_text", "write_text"):
            wrong = not ({"encoding"} & given or "utf-8" in words)
        elif name in ("open", "fdopen") and owner not in ELSEWHERE:
            wrong = not (binary or "encoding" in given)
        elif name in ("FileHandler", "TextIOWrapper"):
            wrong = "encoding" not in given
        elif name in ("NamedTemporaryFile", "TemporaryFile"):
            wrong = "mode" in given and not binary and "encoding" not in given
        else:
            wrong = bool({"text", "universal_newlines"} & given) and "encoding" not in given
        if wrong:
            yield node.lineno, ast.unparse(node)


def test_every_text_is_read_and_written_in_one_encoding():
    """Whatever the locale: what people write has letters that ASCII does not."""
    found = []
    for folder in ("src", "workflow", "benchmarks"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [(path.name, *wrong) for wrong in _without_encoding(tree)]
    assert found == []
    rules = [REPOSITORY / "workflow/Snakefile", *(REPOSITORY / "workflow/rules").glob("*.smk")]
    assert not [p for p in rules if "open(" in p.read_text(encoding="utf-8")]
    for wrong in (
        "open(p)",
        "p.read_text()",
        "p.write_text(t)",
        "run(c, text=True)",
        "p.open('w')",
    ):
        assert list(_without_encoding(ast.parse(wrong))), wrong
    for right in ("open(p, 'rb')", "p.read_text(encoding='utf-8')", "write_text(p, t)"):
        assert not list(_without_encoding(ast.parse(right))), right


def test_a_study_is_read_and_its_results_written_where_the_locale_is_ascii(tmp_path):
    text = (REPOSITORY / "config/studies/digits.yaml").read_text(encoding="utf-8")
    text = text.replace("Small CNN, digits", "Größe 网络")
    (tmp_path / "uni.yaml").write_text(text, encoding="utf-8")
    code = f"""
import locale, sys
assert locale.getpreferredencoding(False).lower() not in ("utf-8", "utf8")
from pruning.files import read_json, write_json, write_text
from pruning.running.code_version import code_version
from pruning.study.study import load_study
study = load_study("uni.yaml", {str(SCHEMA)!r})
write_json("a.json", study.title)
write_text("a.txt", study.title)
assert read_json("a.json") == study.title == "Gr\\u00f6\\u00dfe \\u7f51\\u7edc"
code_version("pruning.stages.dense")
assert "torch" not in sys.modules
"""
    environment = {**os.environ, **LOCALE, "PYTHONPATH": str(REPOSITORY / "src")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "a.txt").read_bytes().decode("utf-8") == "Größe 网络"
    (tmp_path / "uni.yaml").write_bytes(text.encode("latin-1", "replace"))
    with pytest.raises(PruningError, match="uni.yaml is not UTF-8"):
        load_study(tmp_path / "uni.yaml", SCHEMA)
