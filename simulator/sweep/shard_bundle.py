"""The results of one shard of a sweep as a bundle, which can be read without the scenario and the other shards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from simulator.errors import InputError, Problem
from simulator.results.bundle import BundleWriter, read_manifest
from simulator.results.inputs import input_json
from simulator.results.seal import checked_file
from simulator.run.fingerprint import program
from simulator.sweep.result import Results, SweepRun, failed_points, whole_table, write_inputs
from simulator.sweep.shard import Shard
from simulator.sweep.tasks import Point

KIND = "shard"
PROGRAM = ("servecast", "program_sha256", "numba", "python")
SWEEP = ("of", "of_sha256", "scenario", "grid")
"""Of the manifest: what simulated it, and what it is a share of."""
_POINTS, _RESULTS = "points.json", "results.json"


@dataclass(frozen=True, slots=True)
class ShardBundle:
    """A shard that was read.

    Attributes
    ----------
    manifest : what `PROGRAM` and `SWEEP` name of it
    inputs : files that go into the bundle of the whole sweep, by name
    """

    folder: Path
    manifest: Mapping[str, Any]
    shard: Shard
    points: Sequence[Point]
    results: Results
    inputs: Mapping[str, Path]


def shard_folder(path: Path, shard: Shard) -> Path:
    """Where a shard of a bundle lies."""
    return path.with_name(f"{path.name}.shard-{shard.number}-of-{shard.of}")


def write_shard(
    folder: Path,
    shard: Shard,
    about: Mapping[str, Any],
    points: Sequence[Point],
    known: Results,
    inputs: Mapping[str, str | Path],
    resumed: int = 0,
) -> SweepRun:
    """The bundle of a shard; the last arguments are those of `write_sweep`.

    Parameters
    ----------
    about : what `SWEEP` names

    Raises
    ------
    InputError : it cannot be written
    """
    manifest = {**about, **program(), "kind": KIND, "shard": shard.number, "shards": shard.of}
    listed = [{"values": dict(point.values), "keys": point.keys, "error": point.error} for point in points]
    with BundleWriter(folder, manifest) as bundle:
        write_inputs(bundle, inputs)
        bundle.text(_POINTS, json.dumps(listed, ensure_ascii=False))
        bundle.text(_RESULTS, json.dumps({key: known[key] for key in sorted(known)}, ensure_ascii=False))
    table = whole_table(points, known)
    return SweepRun(table, len(points), failed_points(table), resumed, folder)


def read_shard_bundle(folder: Path) -> ShardBundle:
    """A shard as it was written.

    Raises
    ------
    InputError : no shard of a sweep, one that is not finished, altered, or broken
    """
    if folder.name.endswith(".points"):
        text = "holds what an interrupted sweep had finished: give its `servecast sweep` again, which ends it"
        raise InputError(Problem(text, str(folder)))
    manifest = read_manifest(folder)
    kind = manifest.get("kind")
    if kind != KIND:
        what = "a whole sweep" if kind == "sweep" else "a run"
        raise InputError(Problem(f"is {what}: give folders that `servecast sweep --shard` wrote", str(folder)))
    listed, results = (input_json(checked_file(manifest, folder, name), None) for name in (_POINTS, _RESULTS))
    try:
        points = [Point(dict(point["values"]), dict(point["keys"]), point["error"]) for point in listed]
        if not points or any(point.values.keys() != manifest["grid"].keys() for point in points):
            raise ValueError("other points than those of the grid")
        return ShardBundle(
            folder,
            {name: manifest[name] for name in (*PROGRAM, *SWEEP)},
            Shard(int(manifest["shard"]), int(manifest["shards"])),
            points,
            {key: {**result, "status": result["status"]} for key, result in results.items()},
            _inputs(manifest, folder),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = "is a broken shard: make it anew by the same `servecast sweep --shard`"
        raise InputError(Problem(text, str(folder))) from error


def _inputs(manifest: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    names = [name for name in manifest["sha256"] if name not in (_POINTS, _RESULTS)]
    if outside := [name for name in names if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute()]:
        raise InputError(Problem("is outside of its bundle", str(folder), got=outside[0]))
    return {name: checked_file(manifest, folder, name) for name in names}
