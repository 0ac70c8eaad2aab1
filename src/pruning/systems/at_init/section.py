"""The part of a study that prunes before training: its grid, from the study file. No torch here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.study.densities import check_densities
from pruning.systems.at_init.rules import UNMODIFIED, mask_variant, method, variant


@dataclass(frozen=True)
class Cell:
    """One kind of network that a study prunes and trains.

    Attributes:
        method: a key of :data:`pruning.systems.at_init.rules.METHODS`.
        variant: a key of :data:`pruning.systems.at_init.rules.VARIANTS`.
        epoch: of the dense training, whose weights are scored.
        level: place of its density in the grid, from 1.
    """

    method: str
    variant: str
    epoch: float
    level: int


@dataclass(frozen=True)
class AtInit:
    """Pruning at initialization, and later (Frankle et al. 2021).

    Attributes:
        cells: what is trained.
        densities: of level 1, 2, ...
        sample: what to score on, as the task counts it; empty for as much as it takes by itself.
        iterations: rounds of scoring and pruning, where not the method's own, by method.
        score_options: what scores take besides the method's own options, by method.
        rewind_epoch: whose weights lottery tickets are trained from.
        training_time: T, epochs of the dense training.
    """

    cells: tuple[Cell, ...]
    densities: tuple[float, ...]
    sample: Mapping[str, Any]
    iterations: Mapping[str, int]
    score_options: Mapping[str, Mapping[str, Any]]
    rewind_epoch: float | None
    training_time: float

    def pruning(self, method_name: str, variant_name: str, level: int) -> dict[str, Any]:
        """Parameters of the prune stage."""
        row, ablation = method(method_name), variant(variant_name)
        density = self.densities[level - 1]
        if ablation.shuffle:
            return {"kind": "shuffled", "density": density}
        told = {
            "kind": "weights",
            "density": density,
            "score": row.score,
            "scope": row.scope,
            "iterations": self.iterations.get(method_name, row.iterations),
            "keep": ablation.keep,
            "ranked": row.ranked,
            "score_options": {**row.score_options, **self.score_options.get(method_name, {})},
        }
        # Only where it decides anything, so that a change repeats nothing else.
        return told | ({"sample": self.sample} if row.images else {})

    def trained_epoch(self, cell: Cell) -> float:
        """The epoch of the dense training whose weights are trained on."""
        return self.rewind_epoch if method(cell.method).trained == "rewind" else cell.epoch

    def epochs(self, cell: Cell) -> float:
        """How long the pruned network is trained."""
        fresh = variant(cell.variant).weights == "fresh"  # then there is no step to go on from
        if fresh or method(cell.method).schedule == "whole":
            return self.training_time
        return round(self.training_time - self.trained_epoch(cell), 6)

    def kept_times(self) -> Iterator[float]:
        """Epochs before the end whose dense states are needed."""
        for cell in self.cells:
            yield from self.times(cell)

    def times(self, cell: Cell) -> Iterator[float]:
        """As :meth:`kept_times`, for one cell."""
        for epoch in (cell.epoch, self.trained_epoch(cell)):
            if epoch < self.training_time:
                yield self.time(epoch)

    def time(self, epoch: float) -> float:
        """An epoch counted from the end of the dense training, as its states are named."""
        return round(self.training_time - epoch, 6)

    def masks(self) -> list[Cell]:
        """Every chain and level that a mask is cut for, as the cell that it is named after."""
        named = (Cell(c.method, mask_variant(c.variant), c.epoch, c.level) for c in self.cells)
        return list(dict.fromkeys(named))


def read(
    values: Mapping[str, Any], document: Mapping[str, Any], parts: Mapping[str, Any]
) -> AtInit:
    """The section of a study file, checked against its schema before.

    Raises:
        PruningError: an unknown method, variant or score, a density outside (0, 1], an epoch
            outside [0, T), a lottery ticket without an epoch to rewind to.
    """
    epochs = document["recipe"]["epochs"]
    densities = _densities(values)
    cells = [
        Cell(name, ablation, 0 if method(name).scored == "start" else epochs, level)
        for name in values["methods"]
        for ablation in values["variants_by_method"].get(name, values["variants"])
        for level in range(1, len(densities) + 1)
    ]
    cells += _later(values.get("later"), densities, epochs)
    later = values.get("later", {})
    everywhere = {*values["methods"], *later.get("methods", ())}
    for key, names, allowed in (
        ("variants_by_method", values["variants_by_method"], values["methods"]),
        ("iterations", values["iterations"], everywhere),
        ("score_options", values["score_options"], everywhere),
        ("later.variants_by_method", later.get("variants_by_method", ()), later.get("methods", ())),
    ):
        for name in names:
            if name not in allowed:
                raise PruningError(f"at_init.{key} names {name!r}, which is not among its methods.")
    for cell in cells:
        variant(cell.variant)
        registry.entry("score", method(cell.method).score)
    score_options = {
        name: registry.checked_options(
            "score", method(name).score, given, f"at_init.score_options.{name}"
        )
        for name, given in values["score_options"].items()
    }
    rewind = values.get("rewind_epoch")
    rewound = [c.method for c in cells if method(c.method).trained == "rewind"]
    if rewound and rewind is None:
        raise PruningError(
            f"at_init: {rewound[0]} trains from an early epoch. Give it as `rewind_epoch`."
        )
    if rewind is not None:
        _check_epoch("rewind_epoch", rewind, epochs)
    return AtInit(
        cells=tuple(dict.fromkeys(cells)),
        densities=densities,
        sample=_sample(values),
        iterations=values["iterations"],
        score_options=score_options,
        rewind_epoch=rewind,
        training_time=epochs,
    )


def _sample(values: Mapping[str, Any]) -> dict[str, Any]:
    if "images_per_class" not in values:
        return dict(values.get("sample", {}))
    if "sample" in values:
        raise PruningError(
            "at_init has `images_per_class`, which is of images, and `sample`. Take one out."
        )
    return {"images_per_class": values["images_per_class"]}


def _densities(values: Mapping[str, Any]) -> tuple[float, ...]:
    if ("densities" in values) == ("levels" in values):
        raise PruningError("at_init needs either `levels` (with `fraction`) or `densities`.")
    if "levels" in values:
        return tuple((1 - values["fraction"]) ** k for k in range(1, values["levels"] + 1))
    check_densities(values["densities"], "at_init")
    return tuple(values["densities"])


def _later(
    values: Mapping[str, Any] | None, densities: tuple[float, ...], epochs: float
) -> Iterator[Cell]:
    """Cells that are pruned after some epochs of dense training, at one density."""
    if values is None:
        return
    if values["level"] > len(densities):
        raise PruningError(
            f"at_init.later.level is {values['level']}, but there are {len(densities)} densities."
        )
    for name in values["methods"]:
        if method(name).scored != "start":
            raise PruningError(f"at_init.later names {name}, which always prunes after training.")
        for ablation in values["variants_by_method"].get(name, [UNMODIFIED]):
            for epoch in values["epochs"]:
                _check_epoch("later.epochs", epoch, epochs)
                yield Cell(name, ablation, epoch, values["level"])


def _check_epoch(key: str, epoch: float, epochs: float) -> None:
    left = round(epochs - epoch, 6)
    if not 0 <= epoch < epochs or float(f"{left:g}") != left or "e" in f"{epoch:g}{left:g}":
        raise PruningError(
            f"at_init.{key}: epoch {epoch:g} must lie in [0, {epochs:g}) and be a plain number "
            "with few decimals."
        )
