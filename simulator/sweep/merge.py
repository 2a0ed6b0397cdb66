"""The shards of a sweep become the bundle that one sweep of the whole would have written."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem, collect
from simulator.results.seal import MANIFEST
from simulator.sweep.grid import Values
from simulator.sweep.result import SweepRun, write_sweep
from simulator.sweep.shard import Shard
from simulator.sweep.shard_bundle import PROGRAM, SWEEP, ShardBundle, read_shard_bundle

_MOST_NAMED = 20


def merge_shards(folders: Sequence[str | Path], out: str | Path = "runs") -> SweepRun:
    """Merge all shards of one sweep: the table is, byte for byte, that of `run_sweep` without shards.

    Parameters
    ----------
    folders : of the shards, in any order
    out : folder for the bundle

    Raises
    ------
    InputError : what is no shard, or is of another sweep or program than the first; shards that are given twice or
        are missing
    """
    shards = sorted(collect(read_shard_bundle, [Path(folder) for folder in folders]), key=lambda one: one.shard.number)
    first = shards[0]
    if problems := [*_of_this_program(first), *(found for one in shards[1:] for found in _differences(first, one))]:
        raise InputError(*problems)
    _check_complete(shards)
    about = {name: first.manifest[name] for name in ("servecast", "scenario", "grid")}
    known = {key: result for one in shards for key, result in one.results.items()}
    return write_sweep(Path(out) / first.manifest["of"], about, first.points, known, first.inputs)


def _problem(one: ShardBundle, key: str, text: str, got: Any = None) -> Problem:
    return Problem(text, str(one.folder / MANIFEST), path=key, got=None if got is None else str(got))


def _of_this_program(one: ShardBundle) -> list[Problem]:
    own, its = version("servecast"), one.manifest["servecast"]
    text = f"was simulated by another version of servecast than this one, {own}: merge with that version"
    return [] if its == own else [_problem(one, "servecast", text, its)]


def _differences(first: ShardBundle, one: ShardBundle) -> list[Problem]:
    """In what a shard does not go with the first, the most telling of it."""
    for key in (*PROGRAM, *SWEEP):
        its, others = one.manifest[key], first.manifest[key]
        if its == others:
            continue
        kind = "by another program" if key in PROGRAM else "of another sweep"
        mend = "simulate both by the same program" if key in PROGRAM else "merge each sweep by itself"
        where = f"; {first.folder} has {others}" if isinstance(others, str) else f" than that of {first.folder}"
        return [_problem(one, key, f"is a shard {kind}{where}: {mend}", its)]
    if one.shard.of != first.shard.of:
        text = f"is one of {one.shard.of} shards, {first.folder} one of {first.shard.of}: merge shards of one number"
        return [_problem(one, "shards", text, one.shard)]
    if _known(one) != _known(first):
        return [_problem(one, SWEEP[0], f"has other points than {first.folder}: simulate both anew")]
    return []


def _known(one: ShardBundle) -> list[tuple[Values, dict[str, str]]]:
    """Values and keys of its points; their errors name files, which lie elsewhere on each machine."""
    return [(point.values, point.keys) for point in one.points]


def _check_complete(shards: Sequence[ShardBundle]) -> None:
    """Each shard is there once, and has its own part of the results."""
    first, given = shards[0], {one.shard.number: one for one in shards}
    problems = [
        _problem(one, "shard", f"is in {given[one.shard.number].folder} too: give it once", one.shard)
        for one in shards
        if given[one.shard.number] is not one
    ]
    missing = [str(Shard(number, first.shard.of)) for number in range(1, first.shard.of + 1) if number not in given]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        named = f"{', '.join(missing[:_MOST_NAMED])}{more}"
        text = f"not all shards of {first.manifest['of']} are given, missing: {named}"
        mend = f"make them by the same `servecast sweep` with --shard {missing[0]}, or give their folders"
        problems.append(_problem(first, "shards", f"{text}; {mend}"))
    if problems:
        raise InputError(*problems)
    wanted = {key for point in first.points for key in point.keys.values()}
    if wanted != {key for one in shards for key in one.results}:
        raise InputError(_problem(first, "shards", "their results are not those of its points: simulate them anew"))
