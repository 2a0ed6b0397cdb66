"""Runs a sweep: every topology at every point, into one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.processes import cores, results
from simulator.results.bundle import BundleWriter, bundle_name
from simulator.scenario.references import references
from simulator.scenario.resolved import resolved_yaml
from simulator.sweep.grid import Sweep
from simulator.sweep.row import column, where
from simulator.sweep.store import Store
from simulator.sweep.tasks import Point, Task, perform, points_and_tasks

Progress = Callable[[str, float], None]
"""Called with the point that was simulated last and the share of the whole that is done."""

_KINDS: dict[str, Any] = {
    "topology": "string",
    "error": "string",
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
    bundle : folder with `sweep.parquet`
    """

    table: pd.DataFrame
    points: int
    failed: int
    resumed: int
    bundle: Path


def run_sweep(
    sweep: Sweep, out: str | Path = "runs", jobs: int | None = None, progress: Progress | None = None
) -> SweepRun:
    """Simulate every topology at every point; topologies that a point leaves as they are are simulated once.

    What has finished is kept at once in `<bundle>.points`; after an interruption the same sweep goes on from there. A
    point that fails is a row with its error.

    Parameters
    ----------
    jobs : processes; as many as there are cores unless given

    Raises
    ------
    InputError : the scenario is invalid, not one point is valid, or the results cannot be written
    """
    points, tasks = points_and_tasks(sweep)
    path = Path(out) / bundle_name(sweep.name, "\n".join(_identity(sweep, tasks)).encode())
    store = Store(path.with_name(f"{path.name}.points"))
    known = {key: result for key, result in store.finished().items() if key in {task.key for task in tasks}}
    resumed = len(known)
    open_tasks = [task for task in tasks if task.key not in known]
    labels = {key: where(point.values) for point in points for key in point.keys.values()}
    for task, result in results(perform, None, open_tasks, jobs or cores()):
        known[task.key] = result
        if result["status"] == "ok":
            store.keep(task.key, result)
        if progress:
            progress(f"{len(known)} of {len(tasks)}: {task.topology}, {labels[task.key]}", len(known) / len(tasks))
    table = _table(sweep, points, known)
    failed = int(table.loc[table["status"] != "ok", "point"].nunique())
    _write(sweep, table, path, {"points": len(points), "failed_points": failed})
    store.clear()
    return SweepRun(table, len(points), failed, resumed, path)


def _identity(sweep: Sweep, tasks: Sequence[Task]) -> list[str]:
    return [str(dict(sweep.axes)), *(task.key for task in tasks)]


def _table(sweep: Sweep, points: Sequence[Point], known: dict[str, dict[str, Any]]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        if point.error is not None:
            rows.append({"point": number, "topology": None, "status": "failed", "error": point.error})
        rows += [{"point": number, "topology": name, **known[key]} for name, key in point.keys.items()]
    table = pd.DataFrame(rows)
    for name, kind in _KINDS.items():
        if name in table:
            table[name] = table[name].astype(kind)
    for place, path in enumerate(sweep.axes, start=1):
        table.insert(place, path, column([points[number].values[path] for number in table["point"]]))
    return table


def _write(sweep: Sweep, table: pd.DataFrame, path: Path, counts: dict[str, int]) -> None:
    loaded = sweep.load()
    files = references(loaded)
    manifest = {
        "kind": "sweep",
        "servecast": version("servecast"),
        "scenario": loaded.scenario.name,
        "grid": {path: list(values) for path, values in sweep.axes.items()},
        **counts,
    }
    with BundleWriter(path, manifest) as bundle:
        bundle.text("scenario.resolved.yaml", resolved_yaml(loaded, files))
        for file in files:
            if file.copy is not None:
                bundle.copy(file.copy, file.file)
        bundle.append("sweep.parquet", table)
