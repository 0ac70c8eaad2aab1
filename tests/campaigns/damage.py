"""Damaged and foreign files: what can happen to a file, by its kind.

A damage is a function that changes a file in place. Those that know no kind work on bytes; others
write a file that is whole, of the right format, and says something wrong.
"""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

Damage = Callable[[Path, Random], None]


def of(path: Path) -> dict[str, Damage]:
    """Every damage of a file, by name."""
    return {**BYTES, **_of_kind(path)}


def _of_kind(path: Path) -> Mapping[str, Damage]:
    if path.suffix != ".safetensors":
        return {".json": JSON, ".csv": CSV}.get(path.suffix, {})
    if path.name == "mask.safetensors":
        return {**SAFETENSORS, **MASK}
    return {**SAFETENSORS, **(DATA if path.parent.name == "data" else STATE)}


# -- bytes ------------------------------------------------------------------------------------


def _bytes(change: Callable[[bytes, Random], bytes]) -> Damage:
    def damage(path: Path, random: Random) -> None:
        _put(path, change(path.read_bytes(), random))

    return damage


def _put(path: Path, content: bytes) -> None:
    path.unlink()  # never through a link
    path.write_bytes(content)


def _flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def _flip_anywhere(content: bytes, random: Random) -> bytes:
    return _flipped(content, random.randrange(len(content)), random.randrange(8))


def _flip_late(content: bytes, random: Random) -> bytes:
    return _flipped(content, len(content) - 1 - random.randrange(max(1, len(content) // 4)), 0)


def _hole(content: bytes, random: Random) -> bytes:
    at, size = random.randrange(len(content)), max(1, len(content) // 8)
    return content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]


def _cut_out(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content))
    return content[:at] + content[at + 1 :]


def _directory(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _loop(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


BYTES: Mapping[str, Damage] = {
    "missing": lambda path, random: path.unlink(),
    "a directory": _directory,
    "a dangling link": _dangling,
    "a link to itself": _loop,
    "emptied": _bytes(lambda content, random: b""),
    "truncated": _bytes(lambda content, random: content[: random.randrange(1, len(content))]),
    "half": _bytes(lambda content, random: content[: len(content) // 2]),
    "last byte lost": _bytes(lambda content, random: content[:-1]),
    "a byte lost": _bytes(_cut_out),
    "a byte more": _bytes(lambda content, random: content + b"x"),
    "zeroed": _bytes(lambda content, random: bytes(len(content))),
    "a hole of zeros": _bytes(_hole),
    "a bit flipped": _bytes(_flip_anywhere),
    "another bit flipped": _bytes(_flip_anywhere),
    "a late bit flipped": _bytes(_flip_late),
    "letters": _bytes(lambda content, random: b"D" * 500),
    "random bytes": _bytes(lambda content, random: random.randbytes(len(content))),
    "twice": _bytes(lambda content, random: content + content),
}


# -- tensors ----------------------------------------------------------------------------------

Tensors = dict[str, Tensor]


def _tensors(change: Callable[[Tensors, Random], Tensors | None], format: str | None = None):
    def damage(path: Path, random: Random) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        changed = change(tensors, random)
        if format is not None:
            metadata = {"format": format} if format else {}
        path.unlink()
        save_file(
            {k: t.contiguous() for k, t in (tensors if changed is None else changed).items()},
            path,
            metadata,
        )

    return damage


def _one(
    tensors: Tensors,
    random: Random,
    prefix: str = "",
    suits: Callable[[Tensor], bool] = lambda tensor: True,
) -> str | None:
    """The name of one of these tensors, if there is any."""
    names = [name for name in sorted(tensors) if name.startswith(prefix) and suits(tensors[name])]
    return random.choice(names) if names else None


def _entry(value: float, prefix: str = "") -> Damage:
    def change(tensors: Tensors, random: Random) -> None:
        name = _one(tensors, random, prefix, torch.is_floating_point)
        if name is not None:
            tensors[name].view(-1)[random.randrange(tensors[name].numel())] = value

    return _tensors(change)


def _each(
    change: Callable[[Tensor], Tensor],
    prefix: str = "",
    one: bool = True,
    suits: Callable[[Tensor], bool] = lambda tensor: True,
) -> Damage:
    def apply(tensors: Tensors, random: Random) -> None:
        name = _one(tensors, random, prefix, suits)
        names = [name] if one else [n for n in tensors if n.startswith(prefix)]
        for each in names if name is not None else ():
            tensors[each] = change(tensors[each])

    return _tensors(apply)


def _without(prefix: str = "", one: bool = True) -> Damage:
    def change(tensors: Tensors, random: Random) -> Tensors:
        name = _one(tensors, random, prefix)
        gone = [name] if one else [n for n in tensors if n.startswith(prefix)]
        return {n: t for n, t in tensors.items() if n not in gone}

    return _tensors(change)


def _more(name: str, tensor: Tensor) -> Damage:
    return _tensors(lambda tensors, random: {**tensors, name: tensor})


def _swapped(prefix: str = "") -> Damage:
    def change(tensors: Tensors, random: Random) -> None:
        names = [n for n in sorted(tensors) if n.startswith(prefix)]
        pairs = [
            (a, b)
            for a in names
            for b in names
            if a < b
            and tensors[a].shape == tensors[b].shape
            and tensors[a].dtype == tensors[b].dtype
        ]
        if pairs:
            a, b = random.choice(pairs)
            tensors[a], tensors[b] = tensors[b], tensors[a]

    return _tensors(change)


def _set(name: str, value: Tensor) -> Damage:
    return _tensors(lambda tensors, random: {**tensors, name: value} if name in tensors else None)


SAFETENSORS: Mapping[str, Damage] = {
    "a tensor missing": _without(),
    "a tensor more": _more("weights/nobody", torch.zeros(3)),
    "a tensor flattened": _each(lambda t: t.reshape(-1), suits=lambda t: t.dim() > 1),
    "a tensor shortened": _each(
        lambda t: t.reshape(-1)[: t.numel() // 2], suits=lambda t: t.numel() > 1
    ),
    "a tensor of one dimension more": _each(lambda t: t[None]),
    "two tensors swapped": _swapped(),
    "no tensors": _tensors(lambda tensors, random: {}),
    "no format": _tensors(lambda tensors, random: None, ""),
    "another format": _tensors(lambda tensors, random: None, "pruning-tensors-1"),
    "written by another program": _tensors(lambda tensors, random: None, "pt"),
}
STATE: Mapping[str, Damage] = {
    "a weight is NaN": _entry(math.nan, "weights/"),
    "a weight is infinite": _entry(math.inf, "weights/"),
    "a weight is 1e30": _entry(1e30, "weights/"),
    "all weights x 1e30": _each(lambda t: t * 1e30, "weights/", one=False),
    "a weight changed": _entry(0.123, "weights/"),
    "weights in half precision": _each(lambda t: t.half(), "weights/", one=False),
    "weights in double precision": _each(lambda t: t.double(), "weights/", one=False),
    "whole weights": _each(lambda t: t.to(torch.int32), "weights/", one=False),
    "a weight tensor missing": _without("weights/"),
    "a buffer is NaN": _entry(math.nan, "buffers/"),
    "a buffer missing": _without("buffers/"),
    "a slot is NaN": _entry(math.nan, "slots/"),
    "a slot of one number": _each(
        lambda t: t.reshape(-1)[:1], "slots/", suits=lambda t: t.numel() > 1
    ),
    "a slot too large": _each(lambda t: torch.cat([t.reshape(-1)] * 2), "slots/"),
    "a slot in double precision": _each(lambda t: t.double(), "slots/"),
    "a slot missing": _without("slots/"),
    "no slots": _without("slots/", one=False),
    "an unknown slot": _more("slots/nobody/exp_avg", torch.zeros(3)),
    "an unknown group": _more("nobody/conv1.weight", torch.zeros(3)),
    "a mask in the state missing": _without("masks/"),
    "a mask in the state inverted": _each(lambda t: ~t if t.dtype == torch.bool else t, "masks/"),
    "a mask in the state as numbers": _each(lambda t: t.float(), "masks/"),
    "no generators": _without("generators/", one=False),
    "a generator cut": _each(lambda t: t[: len(t) // 2], "generators/"),
    "no step": _without("step"),
    "a step of -1": _set("step", torch.tensor(-1)),
    "a step of 7": _set("step", torch.tensor(7)),
    "a step of 1e12": _set("step", torch.tensor(10**12)),
    "a step of 1.5": _set("step", torch.tensor(1.5)),
    "a step that is NaN": _set("step", torch.tensor(math.nan)),
    "three steps": _set("step", torch.tensor([1, 2, 3])),
}
MASK: Mapping[str, Damage] = {
    "all kept": _each(torch.ones_like, one=False),
    "nothing kept": _each(torch.zeros_like, one=False),
    "a layer all kept": _each(torch.ones_like),
    "a layer inverted": _each(lambda t: ~t if t.dtype == torch.bool else t),
    "a mask of numbers": _each(lambda t: t.to(torch.uint8) * 2, one=False),
    "a mask of floats": _each(lambda t: t.float(), one=False),
}


def _labels(change: Callable[[Tensor], Tensor], split: str) -> Damage:
    return _tensors(
        lambda tensors, random: {
            name: change(t) if "label" in name and split in name else t
            for name, t in tensors.items()
        }
    )


def _images(change: Callable[[Tensor], Tensor], split: str) -> Damage:
    return _tensors(
        lambda tensors, random: {
            name: change(t) if "image" in name and split in name else t
            for name, t in tensors.items()
        }
    )


def _first(value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[0] = value
        return tensor

    return change


def _header(change: Callable[[dict], Any]) -> Damage:
    """Changes what the file's own readable header says of the data."""

    def damage(path: Path, random: Random) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for key, text in metadata.items():
            try:
                told = json.loads(text)
            except ValueError:
                continue
            if isinstance(told, dict):
                changed = change(told)
                metadata[key] = changed if isinstance(changed, str) else json.dumps(told)
        path.unlink()
        save_file(tensors, path, metadata)

    return damage


def _told(key: str, value: Any) -> Damage:
    def change(told: dict) -> None:
        if key in told:
            told[key] = value(told[key]) if callable(value) else value

    return _header(change)


DATA: Mapping[str, Damage] = {
    "a label of 77": _labels(_first(77), "train"),
    "a label of -1": _labels(_first(-1), "train"),
    "a label changed": _labels(lambda t: _first(int(t[0] + 1) % 10)(t), "train"),
    "a test label changed": _labels(lambda t: _first(int(t[0] + 1) % 10)(t), "test"),
    "a label missing": _labels(lambda t: t[:-1], "train"),
    "labels of another type": _labels(lambda t: t.to(torch.int32), "train"),
    "labels as floats": _labels(lambda t: t.float(), "test"),
    "no test images": _tensors(
        lambda tensors, random: {n: t[:0] if "test" in n else t for n, t in tensors.items()}
    ),
    "half the training images": _tensors(
        lambda tensors, random: {
            n: t[: len(t) // 2] if "train" in n else t for n, t in tensors.items()
        }
    ),
    "a pixel changed": _images(_first(7), "train"),
    "images as floats": _images(lambda t: t.float(), "train"),
    "images of three dimensions": _images(lambda t: t.flatten(2), "train"),
    "smaller images": _images(lambda t: t[..., :-1, :-1], "test"),
    "no header": _header(lambda told: "DDDD"),
    "a header that is a list": _header(lambda told: "[]"),
    "an empty header": _header(lambda told: told.clear()),
    "a std of 0": _told("std", lambda v: [0.0] * len(v)),
    "a std of 1e-300": _told("std", lambda v: [1e-300] * len(v)),
    "a mean that is NaN": _told("mean", lambda v: [math.nan] * len(v)),
    "a mean that is a text": _told("mean", "x"),
    "another name": _told("name", "mnist"),
    "one class more": _told("classes", lambda v: v + 1 if isinstance(v, int) else [*v, "x"]),
}


# -- JSON -------------------------------------------------------------------------------------


def _json(value: Any) -> Damage:
    return lambda path, random: _put(path, json.dumps(value).encode())


def places(value: Any, where: tuple = ()) -> Iterator[tuple]:
    """Every key of nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*where, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*where, key))


def _at_random(
    change: Callable[[Any], Any], accept: Callable[[Any], bool] = lambda value: True
) -> Damage:
    """Changes one value somewhere in the file."""

    def damage(path: Path, random: Random) -> None:
        value = json.loads(path.read_text())
        if not isinstance(value, dict | list):
            return
        found = []
        for place in places(value):
            if place[0] in ("config", "versions", "git_commit", "parents", "seconds"):
                continue
            inner = value
            for key in place[:-1]:
                inner = inner[key]
            if accept(inner[place[-1]]):
                found.append((inner, place[-1]))
        if not found:
            return
        inner, key = random.choice(found)
        changed = change(inner[key])
        if changed is MISSING:
            del inner[key]
        else:
            inner[key] = changed
        _put(path, (json.dumps(value, indent=2) + "\n").encode())

    return damage


MISSING = object()


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _a_key_missing(path: Path, random: Random) -> None:
    value = json.loads(path.read_text())
    if isinstance(value, dict) and value:
        del value[random.choice(sorted(value))]
        _put(path, json.dumps(value, indent=2).encode())


def _a_key_set(key: str, change: Callable[[Any], Any]) -> Damage:
    def damage(path: Path, random: Random) -> None:
        value = json.loads(path.read_text())
        if isinstance(value, dict) and key in value:
            value[key] = change(value[key])
            _put(path, (json.dumps(value, indent=2) + "\n").encode())

    return damage


JSON: Mapping[str, Damage] = {
    "null": _json(None),
    "a list": _json([]),
    "a text": _json("x"),
    "a number": _json(3),
    "an empty object": _json({}),
    "a list of nulls": _json([None, None]),
    "a key missing": _a_key_missing,
    "another key missing": _at_random(lambda value: MISSING),
    "a number is NaN": _at_random(lambda value: math.nan, _number),
    "a number is infinite": _at_random(lambda value: math.inf, _number),
    "a number is -1": _at_random(lambda value: -1, _number),
    "a number is 17.5": _at_random(lambda value: 17.5, _number),
    "a number a little larger": _at_random(lambda value: value + 0.001, _number),
    "a number one larger": _at_random(lambda value: value + 1, _number),
    "a number is a text": _at_random(lambda value: str(value), _number),
    "a number is null": _at_random(lambda value: None, _number),
    "a value is a list": _at_random(lambda value: [value]),
    "a value is an object": _at_random(lambda value: {"x": value}),
    "a value is true": _at_random(lambda value: True),
    "another study": _a_key_set("study", lambda value: "other"),
    "another seed": _a_key_set("seed", lambda value: value + 7),
    "another level": _a_key_set("level", lambda value: value + 1),
    "another method": _a_key_set("method", lambda value: "fine_tune"),
    "nested too deep": lambda path, random: _put(path, b"[" * 100_000),
}


# -- tables -----------------------------------------------------------------------------------


def _table(change: Callable[[list[list[str]], Random], list[list[str]] | None]) -> Damage:
    def damage(path: Path, random: Random) -> None:
        rows = list(csv.reader(io.StringIO(path.read_text())))
        changed = change(rows, random)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows if changed is None else changed)
        _put(path, text.getvalue().encode())

    return damage


def _row(rows: list[list[str]], random: Random) -> int:
    return random.randrange(1, len(rows)) if len(rows) > 1 else 0


def _cell(value: str | Callable[[float], float]) -> Damage:
    """Changes a number of a table."""

    def change(rows: list[list[str]], random: Random) -> None:
        cells = [
            (i, j)
            for i in range(1, len(rows))
            for j, text in enumerate(rows[i])
            if _is_number(text)
        ]
        cells = [(i, j) for i, j in cells if rows[0][j] != "seconds"]
        if cells:
            i, j = random.choice(cells)
            rows[i][j] = value if isinstance(value, str) else repr(value(float(rows[i][j])))

    return _table(change)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _column(rows: list[list[str]], random: Random) -> list[list[str]]:
    gone = random.randrange(len(rows[0]))
    return [row[:gone] + row[gone + 1 :] for row in rows]


def _renamed(rows: list[list[str]], random: Random) -> None:
    rows[0][random.randrange(len(rows[0]))] += "x"


def _texts(rows: list[list[str]], random: Random) -> None:
    cells = [
        (i, j)
        for i in range(1, len(rows))
        for j, text in enumerate(rows[i])
        if text and not _is_number(text)
    ]
    if cells:
        i, j = random.choice(cells)
        rows[i][j] = "nobody"


CSV: Mapping[str, Damage] = {
    "header only": _table(lambda rows, random: rows[:1]),
    "no header": _table(lambda rows, random: rows[1:]),
    "a row lost": _table(lambda rows, random: rows[: (i := _row(rows, random))] + rows[i + 1 :]),
    "the last row lost": _table(lambda rows, random: rows[:-1]),
    "a row doubled": _table(lambda rows, random: rows[: (i := _row(rows, random)) + 1] + rows[i:]),
    "all rows doubled": _table(lambda rows, random: rows + rows[1:]),
    "two rows exchanged": _table(lambda rows, random: [rows[0], *reversed(rows[1:3]), *rows[3:]]),
    "a column lost": _table(_column),
    "a column renamed": _table(_renamed),
    "a cell lost": _table(lambda rows, random: [*rows[:-1], rows[-1][:-1]]),
    "a cell more": _table(lambda rows, random: [*rows[:-1], [*rows[-1], "1"]]),
    "a number is NaN": _cell("nan"),
    "a number is infinite": _cell("inf"),
    "a number is a text": _cell("x"),
    "a number is missing": _cell(""),
    "a number is -1": _cell("-1"),
    "a number is 17.5": _cell("17.5"),
    "a number changed a little": _cell(lambda value: value + 0.001),
    "a text is another": _table(_texts),
    "JSON": lambda path, random: _put(path, b'{"a": 1}'),
    "semicolons": _bytes(lambda content, random: content.replace(b",", b";")),
    "a quote that is never closed": _bytes(
        lambda content, random: content[:-5] + b'"' + content[-5:]
    ),
    "zero bytes within": _bytes(lambda content, random: content[:40] + b"\0\0" + content[40:]),
    "lines of another system": _bytes(lambda content, random: content.replace(b"\n", b"\r\n")),
}


# -- files of other cells ---------------------------------------------------------------------


def foreign(root: Path, path: str) -> dict[str, str]:
    """Files of the same name or of another kind, by how they differ from this one."""
    found: dict[str, str] = {}
    name, here = Path(path).name, Path(path).parts
    for other in sorted(root.glob(f"results/**/{name}")):
        there = other.relative_to(root).parts
        if other.is_file() and there != here:
            found.setdefault(f"of another {_differs(here, there)}", "/".join(there))
    folder = Path(path).parent
    for other in sorted((root / folder).iterdir()):
        if other.is_file() and other.name != name:
            found.setdefault(f"{other.name} in its place", str(folder / other.name))
    return found


def _differs(here: tuple[str, ...], there: tuple[str, ...]) -> str:
    """What tells two paths apart: the first part that differs."""
    for a, b in zip(here, there, strict=False):
        if a != b:
            for what in ("seed", "level"):
                if a.startswith(what) and b.startswith(what):
                    return what
            if here.index(a) == 1:
                return "study"
            if a.startswith("t") and a[1:2].isdigit():
                return "epoch"
            return f"cell ({b})"
    return "place"


def replace_by(root: Path, other: str) -> Damage:
    """A damage that puts another file in the place of one."""

    def damage(path: Path, random: Random) -> None:
        path.unlink()
        shutil.copyfile(root / other, path)

    return damage


def changed(root: Path, reference: Path, path: str) -> bool:
    """Whether a damage changed anything."""
    here = root / path
    if here.is_symlink() or not here.is_file():
        return True
    return here.read_bytes() != (reference / path).read_bytes()
