"""Loads a scenario: file, overlays and `--set`, checked, with every problem at its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from simulator.errors import InputError, Problem, unknown_name
from simulator.scenario.checks import cross_problems
from simulator.scenario.document import Document, Origin, read_document
from simulator.scenario.explain import explain, own_errors
from simulator.scenario.mapping import MAPPING, mapping_document
from simulator.scenario.merge import Claims, apply_sets, merge_overlays, without_topology
from simulator.scenario.plain_text import text_problems
from simulator.schema.scenario import Scenario
from simulator.schema.topology import Topology

Section = TypeVar("Section", bound=BaseModel)
Source = str | Path | Mapping[str, Any] | Scenario
"""Of a scenario or a part of one: a file, a mapping with what it would hold, or typed objects."""


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario and where each of its values was written.

    Attributes
    ----------
    scenario : the checked scenario, defaults filled in
    path : the file; relative paths in the scenario start from its folder (of a mapping it is none, in that folder)
    document : the merged data as written, with origins
    """

    scenario: Scenario
    path: Path
    document: Document

    @property
    def currency(self) -> dict[str, Any] | None:
        """What amounts are shown in, as summaries say it; None for USD."""
        stated = self.scenario.currency
        return None if stated is None else stated.model_dump(mode="json")

    def origin(self, path: str) -> Origin | None:
        """Where the value at `path` was written; None for a default."""
        return self.document.origins.get(path)

    def place(self, path: str) -> tuple[str, int | None, int | None]:
        """File, line and column of the value at `path`, or of the closest one around it."""
        return place(self.document, path)

    def with_(self, *sets: str) -> LoadedScenario:
        """A copy with values set, as `load_scenario` takes them; one that was set before is set anew.

        Raises
        ------
        InputError : every problem found
        """
        document = self._copy()
        apply_sets(document, sets, Claims())
        return _checked(document, self.path)

    def only(self, *topologies: str) -> LoadedScenario:
        """A copy with these topologies alone, in the scenario's order, and what happens to them.

        Raises
        ------
        InputError : no such topology
        """
        known = self.scenario.topologies
        if other := [name for name in topologies if not isinstance(name, str)]:
            raise TypeError(f"only takes names of topologies, each by itself, as only('a', 'b'): got {other[0]!r}")
        if wrong := [name for name in topologies if name not in known]:
            raise InputError(*(Problem(unknown_name("topology", name, known)) for name in wrong))
        document = self._copy()
        for name in known:
            if name not in topologies:
                without_topology(document, name)
        return _checked(document, self.path)

    def _copy(self) -> Document:
        return Document(deepcopy(self.document.data), dict(self.document.origins))

    def _repr_html_(self) -> str:
        """Name, description and topologies, for notebooks."""
        found = self.scenario
        rows = [
            f"<tr><td>{escape(name)}</td><td>{escape('; '.join(_parts(topology)))}</td></tr>"
            for name, topology in found.topologies.items()
        ]
        head = "<tr><th>topology</th><th>of</th></tr>"
        words = escape(found.description or "")
        return f"<p><b>{escape(found.name)}</b> {words}</p><table>{head}{''.join(rows)}</table>"


def _parts(topology: Topology) -> Iterator[str]:
    """Pools and token APIs of a topology, in words."""
    for pool in topology.pools:
        gpus = f" × {pool.tensor_parallel_size}" if pool.tensor_parallel_size > 1 else ""
        yield f"{pool.name}: {pool.replicas} × {pool.gpu}{gpus}, {pool.site}"
    for provider in topology.providers:
        yield f"{provider.name}: {provider.offer}"


def place(document: Document, path: str) -> tuple[str, int | None, int | None]:
    """File, line and column of the value at `path` of a document, or of the closest one around it."""
    while path not in document.origins and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    origin = document.origins[path]
    return origin.file, origin.line, origin.column


def load_scenario(
    source: Source, overlays: Iterable[Source] = (), sets: Sequence[str] = (), folder: str | Path = "."
) -> LoadedScenario:
    """Load a scenario with overlays and assignments.

    Overlays and assignments win over the scenario; two of them that give the same value are an error naming both.

    Parameters
    ----------
    source : a file, a mapping with what a file would hold, or a scenario as typed objects
    overlays : partial scenarios laid over it in order
    sets : assignments as `run.seed=3` or `topologies.cloud.pools[rented].tensor_parallel_size=2`
    folder : from which the paths of files in a mapping start; those in a file start from its own folder

    Raises
    ------
    InputError : every problem found, each with file, line and column, or with the path of its keys in a mapping
    TypeError : one overlay or assignment where a list of them belongs
    """
    if isinstance(overlays, str | Path | Mapping | Scenario) or isinstance(sets, str):
        raise TypeError("overlays and sets are lists: put a single one in brackets, as sets=['run.seed=3']")
    file = Path(source) if isinstance(source, str | Path) else Path(folder) / MAPPING.file
    return merged([_document(source), *(_document(overlay) for overlay in overlays)], file, sets)


def merged(documents: Sequence[Document], file: Path, sets: Sequence[str] = ()) -> LoadedScenario:
    """A scenario and its overlays, as they were read, with assignments; the documents stay as they are.

    Parameters
    ----------
    file : of the scenario

    Raises
    ------
    InputError : every problem found
    """
    check_mappings(*documents)
    base, *overlays = (Document(deepcopy(one.data), dict(one.origins)) for one in documents)
    apply_sets(base, sets, merge_overlays(base, overlays))
    return _checked(base, file)


def _document(source: Source) -> Document:
    if isinstance(source, Scenario):
        source = source.model_dump(exclude_unset=True)
    return mapping_document(source) if isinstance(source, Mapping) else read_document(Path(source))


def _checked(document: Document, file: Path) -> LoadedScenario:
    scenario = validated(document, Scenario)
    wrong = [*text_problems(document.data), *cross_problems(scenario, file.parent)]
    found = [_positioned(document, where, message, got) for where, message, got in wrong]
    if found:
        raise InputError(*found)
    return LoadedScenario(scenario, file, document)


def check_mappings(*documents: Document) -> None:
    """Refuse documents that are no mappings of keys to values.

    Raises
    ------
    InputError : every one of them
    """
    others = [document for document in documents if not isinstance(document.data, dict)]
    if others:
        raise InputError(*(Problem("must be a mapping of keys to values", *place(other, "")) for other in others))


def validated(document: Document, model: type[Section]) -> Section:
    """What a document says, as a model.

    Raises
    ------
    InputError : every problem found, each with file, line and column
    """
    check_mappings(document)
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = [
            _positioned(document, *explain(document.data, detail, model)) for detail in own_errors(document.data, error)
        ]
        raise InputError(*dict.fromkeys(problems)) from None


def _positioned(document: Document, path: str, message: str, got: Any) -> Problem:
    return Problem(message, *place(document, path), path=path, got=None if got is None else str(got))
