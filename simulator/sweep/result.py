"""The results of a sweep as one table, and as a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.results.bundle import BundleWriter
from simulator.scenario.document import read_document
from simulator.sweep.row import column
from simulator.sweep.tasks import Point

TABLE = "sweep.parquet"
SCENARIO = "scenario.resolved.yaml"
Results = Mapping[str, dict[str, Any]]
"""Of tasks, by key."""
_KINDS: dict[str, Any] = {
    "topology": "string",
    "error": "string",
    "not_known": "string",
    "chance_drawn_by": "string",
    "slo_met": "boolean",
    "lasts_until": "Int64",
    "calibrated": "boolean",
}
"""Types of the columns that failed rows leave empty."""


@dataclass(frozen=True, slots=True)
class SweepRun:
    """Results of a sweep.

    Attributes
    ----------
    table : a row for each topology of each point: `point`, a column for each path of the grid, `topology`, `status`
        (ok, failed or bug), `error`, then the figures
    points, failed : number of points, and of those in which something failed
    resumed : simulations that an interrupted sweep had finished
    bundle : folder with `sweep.parquet`, or with one shard of it
    """

    table: pd.DataFrame
    points: int
    failed: int
    resumed: int
    bundle: Path

    @property
    def currency(self) -> dict[str, Any] | None:
        """What amounts are shown in, as its scenario states it; None for USD. The table is in USD."""
        found: dict[str, Any] | None = read_document(self.bundle / SCENARIO).data.get("currency")
        return found

    @property
    def paths(self) -> list[str]:
        """Columns of the grid."""
        return [*self.table.columns[1 : self.table.columns.get_loc("topology")]]


def whole_table(points: Sequence[Point], known: Results) -> pd.DataFrame:
    """A row for each topology of each point of which there is a result, and for each point that is no scenario."""
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        if point.error is not None:
            rows.append({"point": number, "topology": None, "status": "failed", "error": point.error})
        rows += [{"point": number, "topology": name, **known[key]} for name, key in point.keys.items() if key in known]
    table = pd.DataFrame(rows, columns=None if rows else ["point", "topology", "status", "error"])
    for name, kind in _KINDS.items():
        if name in table:
            table[name] = table[name].astype(kind)
    for place, path in enumerate(points[0].values, start=1):
        table.insert(place, path, column([points[number].values[path] for number in table["point"]]))
    return table


def failed_points(table: pd.DataFrame) -> int:
    """Number of points in which something failed."""
    return int(table.loc[table["status"] != "ok", "point"].nunique())


def write_sweep(
    path: Path,
    about: Mapping[str, Any],
    points: Sequence[Point],
    known: Results,
    inputs: Mapping[str, str | Path],
    resumed: int = 0,
) -> SweepRun:
    """The bundle of a sweep of which everything is known.

    Parameters
    ----------
    about : what the manifest says of it: `servecast`, `scenario`, `grid`
    inputs : its other files, by name: texts, or files to copy

    Raises
    ------
    InputError : it cannot be written
    """
    table = whole_table(points, known)
    failed = failed_points(table)
    with BundleWriter(path, {**about, "kind": "sweep", "points": len(points), "failed_points": failed}) as bundle:
        write_inputs(bundle, inputs)
        bundle.append(TABLE, table)
    return SweepRun(table, len(points), failed, resumed, path)


def write_inputs(bundle: BundleWriter, inputs: Mapping[str, str | Path]) -> None:
    """Write texts and copy files."""
    for name, source in inputs.items():
        if isinstance(source, str):
            bundle.text(name, source)
        else:
            bundle.copy(name, source)
