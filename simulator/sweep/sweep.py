"""Runs a sweep: every topology at every point, into one table."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simulator.cluster import Cluster
from simulator.processes import cores, results
from simulator.results.bundle import bundle_name
from simulator.run.fingerprint import program
from simulator.scenario.references import references
from simulator.scenario.resolved import resolved_yaml
from simulator.sweep.grid import Sweep
from simulator.sweep.result import SCENARIO, SweepRun, write_sweep
from simulator.sweep.row import where
from simulator.sweep.shard import Shard
from simulator.sweep.shard_bundle import shard_folder, write_shard
from simulator.sweep.store import Store
from simulator.sweep.tasks import perform, points_and_tasks

Progress = Callable[[str, float], None]
"""Called with the point that was simulated last and the share of the whole that is done."""


def run_sweep(
    sweep: Sweep,
    out: str | Path = "runs",
    jobs: int | None = None,
    progress: Progress | None = None,
    shard: Shard | None = None,
    cluster: Cluster | None = None,
) -> SweepRun:
    """Simulate every topology at every point; topologies that a point leaves as they are are simulated once.

    What has finished is kept at once in `<bundle>.points`; after an interruption the same sweep goes on from there. A
    point that fails is a row with its error.

    Parameters
    ----------
    jobs : processes, or tasks of a cluster at a time; as many as there are cores unless given
    shard : simulate this share alone, for `merge_shards`
    cluster : its machines simulate, in place of processes of this one

    Raises
    ------
    InputError : the scenario is invalid, not one point is valid, or the results cannot be written
    """
    points, all_tasks = points_and_tasks(sweep)
    identity = "\n".join([str(dict(sweep.axes)), *(task.key for task in all_tasks)]).encode()
    path = Path(out) / bundle_name(sweep.name, identity)
    tasks = all_tasks if shard is None else shard.share(all_tasks)
    kept = path if shard is None else shard_folder(path, shard)
    store = Store(kept.with_name(f"{kept.name}.points"))
    own = {task.key for task in tasks}
    known = {key: result for key, result in store.finished().items() if key in own}
    resumed = len(known)
    open_tasks = [task for task in tasks if task.key not in known]
    labels = {key: where(point.values) for point in points for key in point.keys.values()}
    found = (
        results(perform, sweep, open_tasks, jobs or cores())
        if cluster is None
        else cluster.results(perform, sweep, open_tasks, program, jobs)
    )
    with closing(found):
        for task, result in found:
            known[task.key] = result
            if result["status"] == "ok":
                store.keep(task.key, result)
            if progress:
                progress(f"{len(known)} of {len(tasks)}: {task.topology}, {labels[task.key]}", len(known) / len(tasks))
    about, inputs = _about(sweep)
    if shard is None:
        swept = write_sweep(path, about, points, known, inputs, resumed)
    else:
        about |= {"of": path.name, "of_sha256": sha256(identity).hexdigest()}
        swept = write_shard(kept, shard, about, points, known, inputs, resumed)
    store.clear()
    return swept


def _about(sweep: Sweep) -> tuple[dict[str, Any], dict[str, str | Path]]:
    """What the manifest of its bundle says, and the inputs in it."""
    loaded = sweep.load()
    files = references(loaded)
    about = {
        "servecast": version("servecast"),
        "scenario": loaded.scenario.name,
        "grid": {path: list(values) for path, values in sweep.axes.items()},
    }
    copies: dict[str, str | Path] = {file.copy: file.file for file in files if file.copy is not None}
    return about, {SCENARIO: resolved_yaml(loaded, files), **copies}
