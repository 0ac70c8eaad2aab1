"""What the rules that draw and tabulate ask: inputs and parameters of figures and claims."""

from collections.abc import Iterable, Mapping
from typing import Any

from pruning.analysis import FOLDER
from pruning.analysis.claims_catalog import claims_of
from pruning.analysis.claims_catalog import entry as claims_entry
from pruning.errors import PruningError
from pruning.figures.catalog import entry, figures_of
from pruning.running.code_version import code_version
from pruning.running.jobs import Untracked
from pruning.study import places
from pruning.study.asks import Workflow, for_rules, ordered
from pruning.study.papers import check_reference, paper
from pruning.study.study import Study
from pruning.systems import joined, systems
from pruning.systems.system import Claims


class Products:
    """Figures and claims of studies and of papers.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow

    # -- figures ------------------------------------------------------------------------------

    @for_rules
    def study_figure(self, wildcards: Any) -> dict[str, Any]:
        """Parameters of ``plots/<study>/<figure>``."""
        study = self.workflow.study(wildcards.study)
        return self._drawing(wildcards.figure, [study], f"plots/{study.name}/{wildcards.figure}")

    @for_rules
    def enabled_figure(self, wildcards: Any) -> dict[str, Any]:
        """Parameters of ``plots/<figure>``, a panel for every enabled study that has it."""
        studies = self._enabled_with(wildcards.figure)
        return self._drawing(wildcards.figure, studies, f"plots/{wildcards.figure}")

    @for_rules
    def paper_figure(self, wildcards: Any) -> dict[str, Any]:
        """Parameters of ``plots/published/<paper>/[<network>/]<figure>``."""
        source, titles = self._published(wildcards)
        network = getattr(wildcards, "network", None)
        folder = places.published_folder(wildcards.paper, network)
        options = {study: dict(source.options.get(study, {})) for study in titles}
        if network is not None:
            for option in options.values():
                option.pop("retrain_levels", None)  # there is room for all
        stem = f"{folder}/{wildcards.figure}"
        tables = {entry(wildcards.figure).tables[0]: [places.published_tidy(wildcards.paper)]}
        return self._parameters(wildcards.figure, titles, options, stem, tables)

    @for_rules
    def study_figure_input(self, wildcards: Any) -> list[str]:
        """The study's tables that the figure shows."""
        return _flat(self._tables(wildcards.figure, [wildcards.study]))

    @for_rules
    def enabled_figure_input(self, wildcards: Any) -> list[str]:
        """The tables of the enabled studies that have this figure."""
        studies = [study.name for study in self._enabled_with(wildcards.figure)]
        return _flat(self._tables(wildcards.figure, studies))

    def _tables(self, figure: str, studies: list[str]) -> dict[str, list[str]]:
        return {name: [places.table(s, name) for s in studies] for name in entry(figure).tables}

    @for_rules
    def overlay_input(self, wildcards: Any) -> list[str]:
        """Files of published numbers that a figure lays over its own."""
        figure = entry(wildcards.figure)
        if hasattr(wildcards, "study"):
            options = [self.workflow.study(wildcards.study).figure]
        elif hasattr(wildcards, "paper"):
            options = []
        else:
            options = [study.figure for study in self._enabled_with(wildcards.figure)]
        overlays = joined("overlays")
        names = {
            overlays[key](option[key])
            for option in options
            for key in figure.overlays
            if key in option
        }
        files = {f"{name}.csv" for name in names} | set(figure.published)
        return [f"{FOLDER}/{file}" for file in sorted(files)]

    def _enabled_with(self, figure: str) -> list[Study]:
        needs = entry(figure).needs
        studies = [study for study in self.workflow.enabled if needs(study)]
        if not studies:
            raise PruningError(f"None of the enabled studies has what {figure} shows.")
        return studies

    def _published(self, wildcards: Any) -> tuple[Any, dict[str, str]]:
        source = paper(wildcards.paper)
        titles = dict(source.titles)
        network = getattr(wildcards, "network", None)
        if network is not None:
            check_reference(f"{wildcards.paper}:{network}")
            study = f"{wildcards.paper}_{network}"
            titles = {study: titles[study]}
        return source, titles

    def _drawing(self, figure: str, studies: list[Study], stem: str) -> dict[str, Any]:
        for study in studies:
            if not entry(figure).needs(study):
                known = ", ".join(figures_of(study)) or "none"
                raise PruningError(
                    f"Study {study.name!r} has not what {figure} shows. Its figures: {known}."
                )
        titles = {study.name: study.title for study in studies}
        told = entry(figure).options
        options = {study.name: {**study.figure, **told(study)} for study in studies}
        tables = self._tables(figure, [study.name for study in studies])
        cells = _cells(studies, tables)
        told = {"cells": cells, "replicates": [[s.title, len(s.seeds)] for s in studies]}
        return {**self._parameters(figure, titles, options, stem, tables), **told}

    def _parameters(
        self,
        figure: str,
        titles: Mapping[str, str],
        options: Mapping[str, Mapping[str, Any]],
        stem: str,
        tables: Mapping[str, list[str]],
    ) -> dict[str, Any]:
        drawn = entry(figure)
        first, *others = places.figure_files(stem)
        styles = [system.styles for system in systems() if system.styles]
        return {
            "caption": drawn.caption,
            "code_version": code_version("pruning.stages.figure", drawn.draw, *styles),
            "draw": drawn.draw,
            "options": ordered(options),
            "repairs": self.workflow.repairs(first, (*others, *_flat(tables))),
            "resources": FOLDER,
            "settings": ordered(drawn.settings),
            "tables": tables,
            "titles": list(map(list, titles.items())),
        }

    # -- claims -------------------------------------------------------------------------------

    @for_rules
    def study_claims(self, wildcards: Any) -> dict[str, Any]:
        """Parameters of ``plots/<study>/<claims>.csv``."""
        study, name = self.workflow.study(wildcards.study), wildcards.claims
        page = claims_entry(name)
        if not page.needs(study):
            known = ", ".join(claims_of(study)) or "none"
            raise PruningError(
                f"Study {study.name!r} has not what {name} are about. Its claims: {known}."
            )
        beside = self._beside(page, study)
        watched = (places.table(study.name, page.table), *beside.values())
        folder, options = f"plots/{study.name}", page.options(study)
        judged = self._judging(name, study.title, options, folder, watched, beside)
        judged["summaries"] = {study.name: _dense_summary(study)}
        return {**judged, "cells": _cells([study], [page.table, *beside])}

    @for_rules
    def study_claims_input(self, wildcards: Any) -> str:
        """The study's table that the claims are counted over."""
        return places.table(wildcards.study, claims_entry(wildcards.claims).table)

    @for_rules
    def study_claims_beside(self, wildcards: Any) -> list[str]:
        """The study's further tables that the claims are counted over."""
        study = self.workflow.study(wildcards.study)
        return list(self._beside(claims_entry(wildcards.claims), study).values())

    @for_rules
    def study_claims_summary(self, wildcards: Any) -> str:
        """The summary that says how many test images a study has: of its first dense network."""
        return _dense_summary(self.workflow.study(wildcards.study))

    def _beside(self, page: Claims, study: Study) -> dict[str, str]:
        names = page.beside(study) if page.needs(study) else ()
        return {name: places.table(study.name, name) for name in names}

    @for_rules
    def claims_published(self, wildcards: Any) -> list[str]:
        """Files of published numbers that claims take."""
        return [f"{FOLDER}/{file}" for file in claims_entry(wildcards.claims).published]

    @for_rules
    def paper_claims(self, wildcards: Any) -> dict[str, Any]:
        """Parameters of ``plots/published/<paper>/<claims>.csv``."""
        source, name = paper(wildcards.paper), wildcards.claims
        watched = (places.published_tidy(wildcards.paper),)
        folder = places.published_folder(wildcards.paper)
        if name not in source.claims:
            known = ", ".join(source.claims) or "none"
            raise PruningError(f"{wildcards.paper} has no {name}. Its pages of claims: {known}.")
        return self._judging(name, source.title, source.claims[name], folder, watched)

    def _judging(
        self,
        name: str,
        title: str,
        options: Mapping[str, Any],
        folder: str,
        watched: tuple[str, ...],
        beside: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        page = claims_entry(name)
        first, *others = places.claims_files(folder, name)
        return {
            "beside": ordered(beside or {}),
            "caption": page.caption,
            "claims": page.claims,
            "code_version": code_version("pruning.stages.claims", page.claims),
            "options": ordered(options),
            "repairs": self.workflow.repairs(first, (*others, *watched)),
            "resources": FOLDER,
            "summaries": {},
            "title": title,
        }

    # -- published results --------------------------------------------------------------------

    @for_rules
    def published_input(self, wildcards: Any) -> list[str]:
        """Files of a paper's results that may change. Others are pinned by their hashes."""
        files = paper(wildcards.paper).files
        return [f"{self._source(wildcards.paper)}/{file}" for file in files]

    def _source(self, name: str) -> str:
        sources = self.workflow.config["published"]
        if name not in sources:
            raise PruningError(
                f"config/config.yaml does not say where the results of {name} are: give "
                f"`published: {{{name}: ...}}` a folder or an address."
            )
        return sources[name]

    @for_rules
    def published(self, wildcards: Any) -> dict[str, Any]:
        """Parameters of a paper's tidy table. Where its files are decides nothing."""
        reader = paper(wildcards.paper).reader
        return {
            "code_version": code_version("pruning.stages.published", reader),
            "reader": reader,
            "source": Untracked(self._source(wildcards.paper)),
        }

    # -- everything of a study ----------------------------------------------------------------

    @for_rules
    def of_study(self, name: str) -> list[str]:
        """Every figure of a study, its claims, and the table of everything."""
        study = self.workflow.study(name)
        figures = [f"plots/{name}/{figure}.pdf" for figure in figures_of(study)]
        claims = [places.claims_files(f"plots/{name}", page)[0] for page in claims_of(study)]
        if not figures and not claims:
            raise PruningError(f"Study {name!r} has no figures: it compares nothing.")
        return [*figures, *claims, places.table(name, places.TIDY)]

    @for_rules
    def of_paper(self, name: str) -> list[str]:
        """Every figure of a paper, from its published results, and its claims."""
        source, folder = paper(name), places.published_folder(name)
        claims = [places.claims_files(folder, page)[0] for page in source.claims]
        return [*(f"{folder}/{figure}.pdf" for figure in source.figures), *claims]


def _cells(studies: Iterable[Study], tables: Iterable[str]) -> dict[str, int]:
    """How many cells each table of studies is of, by its file."""
    return {
        places.table(study.name, name): places.table_cells(study, name)
        for study in studies
        for name in tables
    }


def _dense_summary(study: Study) -> str:
    return f"{places.dense_folder(study.name, study.seeds[0])}/summary.json"


def _flat(tables: Mapping[str, list[str]]) -> list[str]:
    return [path for paths in tables.values() for path in paths]
