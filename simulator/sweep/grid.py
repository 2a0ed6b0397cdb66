"""The grid of a sweep: which scenario, which paths, which values."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem
from simulator.scenario.document import Document, parse_document, read_document
from simulator.scenario.load import LoadedScenario, merged
from simulator.scenario.sweepfile import is_sweep, sweep_file

Values = Mapping[str, Any]
"""One value by path."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to simulate.

    Attributes
    ----------
    name : used for the folder of the results
    scenario : its file
    documents : the scenario and its overlays, read once: what is changed meanwhile changes no point
    sets : assignments that hold at every point, as `run.seed=3`
    axes : values to combine, by path; the last path changes fastest
    """

    name: str
    scenario: Path
    documents: tuple[Document, ...]
    sets: tuple[str, ...]
    axes: Mapping[str, Sequence[Any]]

    def points(self) -> list[Values]:
        """Every combination of values."""
        return [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]

    def load(self, values: Values | None = None) -> LoadedScenario:
        """The scenario at one point; without values as it is.

        Raises
        ------
        InputError : as `load_scenario`, and where a value of the grid is given by an overlay or assignment as well
        """
        return merged(self.documents, self.scenario, [*self.sets, *assignments(values or {})])


def assignments(values: Values) -> list[str]:
    """Values as `--set` takes them."""
    return [f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in values.items()]


def read_sweep(
    file: str | Path, grid: Sequence[str] = (), overlays: Sequence[str | Path] = (), sets: Sequence[str] = ()
) -> Sweep:
    """A sweep from a sweep file, or from a scenario file and a grid.

    Parameters
    ----------
    grid : axes as `run.seed=1,2,3`; they come after those of a sweep file
    overlays, sets : at every point, after those of a sweep file

    Raises
    ------
    InputError : a broken file, no axis, an axis given twice or without values
    """
    path = Path(file)
    document = read_document(path)
    if is_sweep(document):
        found = sweep_file(document, path)
        axes = {name: list(values) for name, values in found.grid.items()}
        fixed = assignments(found.set)
        layers = [path.parent / name for name in found.overlays]
        base, name = path.parent / found.scenario, path.stem
    else:
        axes, fixed, layers, base, name = {}, [], [], path, f"{path.stem}-sweep"
    for text in grid:
        where, values = axis(text)
        if where in axes:
            raise InputError(Problem("is varied twice: keep one", "--grid", path=where))
        axes[where] = values
    if shown := [where for where in axes if re.split(r"[.\[]", where)[0] == "currency"]:
        words = "changes no result, as all is computed in USD: give the currency by the scenario or --set"
        raise InputError(Problem(words, "--grid", path=shown[0]))
    if not axes:
        raise InputError(Problem("nothing to vary: give --grid path=value,value or a sweep file", str(file)))
    documents = [
        document if base is path else read_document(base),
        *map(read_document, (*layers, *map(Path, overlays))),
    ]
    return Sweep(name, base, tuple(documents), (*fixed, *sets), axes)


def axis(text: str) -> tuple[str, list[Any]]:
    """Path and values of `path=value,value`; values are YAML, so a comma inside brackets or quotes separates none."""
    where, equals, listed = (part.strip() for part in text.partition("="))
    if not equals or not where or not listed:
        raise InputError(Problem("must have the form path=value,value", "--grid", got=text))
    values = parse_document(f"[{listed}]", f"--grid {text}").data
    if not isinstance(values, list) or not values:
        raise InputError(Problem("must have the form path=value,value", "--grid", got=text))
    return where, values
