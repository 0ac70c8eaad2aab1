"""What a wing hands to the frame: one small frozen dataclass, and the pieces it is made of.

Importing it costs nothing: code that trains, counts or draws is named as ``module:attribute`` and
imported by the stage that needs it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruning.study.papers import Paper
    from pruning.study.places import Chain
    from pruning.study.study import Study
    from pruning.training.recipe import Timeline


@dataclass(frozen=True)
class Section:
    """A section of a study file.

    Attributes:
        name: its key, also in :attr:`pruning.study.study.Study.parts`.
        read: from the section, the whole document and the parts read before it to what the wing
            works with; raises PruningError where the section cannot be carried out.
    """

    name: str
    read: Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Need:
    """What a study takes of its dense training besides the network that this ends with.

    A network from a file has none of that.

    Attributes:
        what: as messages call it.
        by: what asks for it, as one would take it out of the study file.
    """

    what: str
    by: str

    @classmethod
    def of_state(cls, study: "Study", time: float, by: str) -> "Need":
        """The need of the state ``time`` epochs before the end."""
        initial = time == study.task["recipe"]["epochs"]
        ago = f"{time:g} epoch" + "s" * (time != 1)
        return cls("initial state" if initial else f"state {ago} before its end", by)


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        draw: ``module:function``, from a table and a :class:`pruning.figures.context.Context` to
            what is :class:`pruning.figures.context.Drawn`.
        category: of the report.
        caption: of the report, one paragraph.
        needs: whether a study has what it shows.
        settings: what the function is told.
        tables: what it draws from, see :mod:`pruning.analysis.tables`.
        overlays: options of a study's ``figure`` section that lay published numbers over it.
        published: files in ``resources/published`` that it always shows.
        options: what it is told of a study besides the ``figure`` section of its file.
    """

    draw: str
    category: str
    caption: str
    needs: Callable[["Study"], bool]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = field(kw_only=True)
    overlays: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    options: Callable[["Study"], Mapping[str, Any]] = lambda study: {}


@dataclass(frozen=True)
class Claims:
    """A page of claims.

    Attributes:
        claims: ``module:attribute`` of the :class:`pruning.analysis.claims.ClaimSet`.
        category: of the report.
        caption: of the report, one paragraph.
        table: of a study, that the claims are counted over.
        needs: whether a study has what they are about.
        options: what their evidence takes from a study besides the table.
        published: published numbers that it takes, files in ``resources/published``.
        beside: further tables of a study, which it takes as keywords of their names.
    """

    claims: str
    category: str
    caption: str
    table: str
    needs: Callable[["Study"], bool]
    options: Callable[["Study"], Mapping[str, Any]] = lambda study: {}
    published: tuple[str, ...] = ()
    beside: Callable[["Study"], tuple[str, ...]] = lambda study: ()


@dataclass(frozen=True)
class Gathered:
    """A table that is gathered from CSV files of single cells.

    Attributes:
        columns: ``module:attribute`` of its columns.
        cells: (summary, CSV) of every cell of one replicate.
    """

    columns: str
    cells: Callable[["Study", int], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Work:
    """What the trainings of one rule take.

    Attributes:
        steps: optimizer steps.
        images: training images that these steps see, repetitions counted.
    """

    steps: int
    images: float

    @classmethod
    def of(cls, timeline: "Timeline", steps: int, images: int) -> "Work":
        """Steps of a recipe, on a data set with so many training images."""
        return cls(steps, steps * images / timeline.steps_per_pass)

    @classmethod
    def trainings(cls, recipe: Mapping[str, Any], count: int, images: int) -> "Work":
        """So many whole trainings by a recipe, in plain values, on a data set of so many images."""
        from pruning.training.recipe import Recipe

        timeline = Recipe.from_dict(recipe).timeline(images)
        return cls.of(timeline, count * timeline.total_steps, images)

    def __add__(self, other: "Work") -> "Work":
        return Work(self.steps + other.steps, self.images + other.images)


@dataclass(frozen=True)
class Training:
    """A training, of which the tidy table has rows.

    Attributes:
        folder: where it lies.
        mask: the file of the mask it is under; None where nothing is pruned, or where the summary
            says itself what is left.
    """

    folder: str
    mask: str | None = None


def _nothing(*_: Any) -> tuple[()]:
    return ()


def _no_names(*_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class System:
    """One published pruning system.

    Attributes:
        name: of the wing, of its tidy table and of its file in ``workflow/schemas/systems``.
        citation: of the paper.
        sections: of study files, in the order in which they are read.
        schema: file of the sections' JSON schemas, and of the options it adds to ``figure``.
        check_figure: refuses options of a study's ``figure`` section, given with all its parts.
        dense_times: epochs before the end whose dense states a study keeps.
        dense_needs: what a study takes of the dense training besides its end; None: the states at
            these times, for its sections.
        chains: of prunings, by the name that paths have.
        trainings: every training in the tidy table, without the dense ones.
        files: what else its stages are to leave, besides what every training and its mask leave.
        masks: (chain, level) of every mask that its tables of layers and channels are about; None
            where it has no such tables.
        gathered: further tables, by name.
        jobs: by rule, of all replicates.
        work: by rule, of a study whose data set has so many training images.
        figures: by name.
        claims: pages by name.
        styles: ``module:attribute`` of how figures draw its methods, by name in legends' order.
        papers: whose own results can be read and drawn as if they were studies.
        overlays: from a reference that a figure option names to its file of published numbers.
        wildcards: what its rules' wildcards may be; alternatives of several systems are joined.
        rules: file of its rules, in ``workflow/rules`` or anywhere as an absolute path.
        asks: ``module:class`` that is made from the configuration, for its rules.
        entries: what it adds to the tables of :mod:`pruning.registry`.
        public: names that ``pruning`` offers as a library, and their modules.
        preload: modules that jobs of a run share one import of.
        trial: ``module:function`` of a study and a :class:`pruning.stages.trial.Trial`, which sets
            its trainings up that the study's own task and recipe do not stand for.
    """

    name: str
    citation: str
    rules: str
    sections: tuple[Section, ...] = ()
    schema: Path | str | None = None
    check_figure: Callable[[Mapping[str, Any], Mapping[str, Any]], Any] = _nothing
    dense_times: Callable[["Study"], Iterable[float]] = _nothing
    dense_needs: Callable[["Study"], Iterable[Need]] | None = None
    chains: Callable[["Study"], Mapping[str, "Chain"]] = _no_names
    trainings: Callable[["Study"], Iterable[Training]] = _nothing
    files: Callable[["Study"], Iterable[str]] = _nothing
    masks: Callable[["Study"], Iterable[tuple[str, int]]] | None = None
    gathered: Mapping[str, Gathered] = field(default_factory=dict)
    jobs: Callable[["Study"], Mapping[str, int]] = _no_names
    work: Callable[["Study", int], Mapping[str, Work]] = _no_names
    figures: Mapping[str, Figure] = field(default_factory=dict)
    claims: Mapping[str, Claims] = field(default_factory=dict)
    styles: str | None = None
    papers: Mapping[str, "Paper"] = field(default_factory=dict)
    overlays: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    wildcards: Mapping[str, str] = field(default_factory=dict)
    asks: str | None = None
    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    public: Mapping[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    trial: str | None = None

    def needs(self, study: "Study") -> Iterator[Need]:
        """What a study takes of the dense training besides its end."""
        if self.dense_needs is not None:
            yield from self.dense_needs(study)
            return
        by = " and ".join(f"`{s.name}`" for s in self.sections if s.name in study.parts)
        for time in self.dense_times(study):
            yield Need.of_state(study, time, by)
