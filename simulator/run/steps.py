"""The steps of one replica: its requests of a run served once more, with every step written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.endings import query
from simulator.errors import InputError, Problem, unknown_name
from simulator.fleet.records import Status
from simulator.fleet.single import SingleRun, run_again
from simulator.resolve.batches import priorities
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.results.bundle import Bundle
from simulator.run.content import drawn_again
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.schema.workload import RequestClass
from simulator.study.fleet import PoolSpec
from simulator.workload.requests import Requests, make_requests

MAX_REQUESTS = 50_000
"""Requests of a replica up to the end of the time asked for; more would not be looked at one by one."""
MAX_SHARING = 1_000_000
"""Requests of all replicas up to then that are drawn again, where they share or bring what their rows do not tell."""
LEAST_DEVIATION_S = 1e-6
"""Distance of ends from the run's own that is told."""
NOT_SERVED_AGAIN = "the gateway's queue, cold starts, faults, restarts and the ranks that share its experts"
"""What a run may have that its steps are shown without."""
_TABLE = "requests.parquet"


@dataclass(frozen=True, slots=True)
class StepView:
    """Steps of one replica.

    Attributes
    ----------
    steps : one row a step: `start_s`, `duration_s`, `sequences`, `prefill_tokens`, `decode_tokens`, `kv_usage` (share
        of the blocks in use right after scheduling), `preempted` (by its plan, or by a cache reset before it),
        `cached_tokens` (found in the prefix cache by requests that it admits)
    requests : one row a request and step: `request` (its number in the run), `start_s`, `duration_s`, `tokens`,
        `before` (tokens computed before), `kind` (prefill or decode)
    deviation_s : largest distance of a finish from the run's own; above 0 where the run had what is
        `NOT_SERVED_AGAIN`
    """

    steps: pd.DataFrame
    requests: pd.DataFrame
    deviation_s: float


def replicas(bundle: Bundle, topology: str) -> list[tuple[str, int]]:
    """Pools and replica numbers of a topology that served requests in the first replication.

    Raises
    ------
    InputError : the run kept no rows of requests
    """
    rows = _query(
        bundle,
        "select distinct target, replica from rows where topology = ? and replication = 0 and replica >= 0 "
        "order by 1, 2",
        [topology],
    )
    return [(str(target), int(number)) for target, number in rows.itertuples(index=False)]


def first_busy_s(bundle: Bundle, topology: str, pool: str, replica: int, from_s: float) -> float:
    """First time from `from_s` on at which a replica computes in the first replication; else its very first, else 0.

    Where so much came before that time that its steps cannot be looked at, it is the very first as well.

    Raises
    ------
    InputError : the run kept no rows of requests
    """
    rows = _query(
        bundle,
        "with mine as (from rows where topology = ? and replication = 0 and target = ? and replica = ?), "
        "served as (from mine where isfinite(scheduled_s) and isfinite(finish_s)), "
        "later as (select min(greatest(scheduled_s, ?)) as at from served where finish_s > ?) "
        "select later.at as later, (select min(scheduled_s) from served) as first, "
        "(select count(*) from mine where arrival_s <= later.at) as before from later",
        [topology, pool, replica, from_s, from_s],
    )
    later, first, before = rows.iloc[0]
    found = first if pd.isna(later) or before >= MAX_REQUESTS else later
    return 0.0 if pd.isna(found) else float(found)


def replica_steps(bundle: Bundle, topology: str, pool: str, replica: int, start_s: float, seconds: float) -> StepView:
    """Serve again what a replica served in the first replication, and return its steps in a window of time.

    The replica starts empty at time 0 and gets its own requests at their arrivals, as in the run.

    Raises
    ------
    InputError : unknown names, no rows of requests, a pool that hands over or a cascade, or too many rows
    """
    loaded = load_scenario(bundle.scenario_file)
    planned, k = _pool(loaded, topology, pool)
    rows = _rows(bundle, topology, pool, replica, start_s + seconds)
    spec = planned.fleet.pools[k]
    requests, luck = _requests(bundle, loaded, topology, spec, rows)
    last_s = min(start_s + seconds, float(np.nanmax(rows["finish_s"].to_numpy())))
    run = run_again(spec, planned.fleet.classes, requests, luck, last_s)
    steps, parts = _frames(run, spec, rows["request"].to_numpy(np.int64), requests.isl)
    return StepView(
        _window(steps, start_s, seconds),
        _window(parts, start_s, seconds),
        _deviation_s(run, rows, start_s + seconds),
    )


def _query(bundle: Bundle, sql: str, values: list[Any]) -> pd.DataFrame:
    import duckdb

    if not (bundle.path / _TABLE).exists():
        raise InputError(Problem("kept no rows of requests: run it with run.keep_requests: true", str(bundle.path)))
    file = bundle.file(_TABLE)
    with query(), duckdb.connect() as connection:
        connection.read_parquet(str(file)).create_view("rows")
        found: pd.DataFrame = connection.execute(sql, values).df()
    return found


def _pool(loaded: LoadedScenario, topology: str, pool: str) -> tuple[PlannedTopology, int]:
    if topology not in loaded.scenario.topologies:
        raise InputError(Problem(unknown_name("topology", topology, loaded.scenario.topologies), "--topology"))
    planned = plan_topology(loaded, topology)
    if planned.fleet.routing.cascade is not None:
        raise InputError(Problem("the replicas of a cascade cannot be looked at", "--topology", got=topology))
    if planned.fleet.routing.classify_s:
        raise InputError(Problem("the replicas behind a classifier cannot be looked at", "--topology", got=topology))
    names = [spec.name for spec in planned.fleet.pools]
    if pool not in names:
        raise InputError(Problem(unknown_name("pool", pool, names), "--pool"))
    k = names.index(pool)
    if planned.fleet.pools[k].hands_to is not None or any(spec.hands_to == k for spec in planned.fleet.pools):
        raise InputError(
            Problem("prefill and decode pools cannot be looked at one replica at a time", "--pool", got=pool)
        )
    return planned, k


def _rows(bundle: Bundle, topology: str, pool: str, replica: int, end_s: float) -> pd.DataFrame:
    rows = _query(
        bundle,
        "select request, class, status, isl, osl, cached_tokens, arrival_s, finish_s from rows where topology = ? and "
        "replication = 0 and target = ? and replica = ? and arrival_s < ? order by arrival_s, request limit ?",
        [topology, pool, replica, end_s, MAX_REQUESTS + 1],
    )
    if not len(rows):
        raise InputError(Problem(f"served nothing before {end_s:g} s", "--replica", got=str(replica)))
    if len(rows) > MAX_REQUESTS:
        raise InputError(f"more than {MAX_REQUESTS:,} requests before {end_s:g} s: ask for an earlier time")
    return rows


def _requests(
    bundle: Bundle, loaded: LoadedScenario, topology: str, pool: PoolSpec, rows: pd.DataFrame
) -> tuple[Requests, NDArray[np.int64]]:
    """What the replica was sent: drawn again where its rows do not tell all of it."""
    classes = loaded.scenario.workload.classes
    drafts, stores = pool.engine.num_speculative_tokens > 0, pool.engine.modes.stores
    if rows["cached_tokens"].any() or drafts or stores or any(map(_brings, classes)):
        every = _query(
            bundle,
            "select request, class, isl, osl, arrival_s, finish_s from rows where topology = ? and replication = 0 "
            "and arrival_s <= ? order by request limit ?",
            [topology, float(rows["arrival_s"].max()), MAX_SHARING + 1],
        )
        if len(every) > MAX_SHARING:
            raise InputError(f"more than {MAX_SHARING:,} requests to draw again: ask for an earlier time")
        return drawn_again(loaded, every, rows["request"].to_numpy(np.int64))
    class_id = rows["class"].map({cls.name: k for k, cls in enumerate(classes)}).to_numpy()
    requests = make_requests(
        rows["arrival_s"].to_numpy(),
        rows["isl"].to_numpy(),
        rows["osl"].to_numpy(),
        class_id=class_id,
        priority=np.array(priorities(classes))[class_id],
    )
    return requests, np.zeros(len(rows), np.int64)


def _brings(cls: RequestClass) -> bool:
    """Whether requests of a class have more than times and lengths."""
    brought = (cls.leaves, cls.adapters, cls.structured_outputs, cls.images, cls.stop_token_share)
    return any(brought)


def _frames(
    run: SingleRun, spec: PoolSpec, numbers: NDArray[np.int64], isl: NDArray[np.int32]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All steps, and all parts of steps by request.

    A request decodes where its whole prompt was computed before and it gets no more tokens than one and its drafts.
    """
    most = 1 + spec.engine.num_speculative_tokens
    steps: list[tuple[Any, ...]] = []
    parts: list[tuple[Any, ...]] = []
    seen: set[int] = set()
    for step in run.steps:
        prefill = decode = cached = 0
        units = context = 0.0
        for request, tokens, before in step.scheduled:
            is_decode = before >= isl[request] and tokens <= most
            decode += tokens * is_decode
            prefill += tokens * (not is_decode)
            units += 0.0 if is_decode else tokens * (before + (tokens + 1) / 2)
            context += (before + tokens) * is_decode
            cached += 0 if request in seen else before
            seen.add(request)
            kind = "decode" if is_decode else "prefill"
            parts.append((int(numbers[request]), step.start_s, tokens, before, kind, len(steps)))
        usage = 1.0 - step.free_blocks / max(spec.engine.num_blocks - 1, 1)
        preempted = len(step.preempted)
        steps.append((step.start_s, len(step.scheduled), prefill, decode, usage, preempted, cached, units, context))
    frame = pd.DataFrame(
        steps,
        columns=[
            *("start_s", "sequences", "prefill_tokens", "decode_tokens", "kv_usage", "preempted", "cached_tokens"),
            *("units", "context"),
        ],
    )
    duration_s = spec.step_time.durations_s(
        frame["sequences"].to_numpy(np.int64),
        (frame["prefill_tokens"] + frame["decode_tokens"]).to_numpy(np.int64),
        frame.pop("units").to_numpy(float),
        frame.pop("context").to_numpy(float),
    )
    frame.insert(1, "duration_s", duration_s)
    _add_resets(frame, run)
    requests = pd.DataFrame(parts, columns=["request", "start_s", "tokens", "before", "kind", "step"])
    requests["duration_s"] = frame["duration_s"].to_numpy()[requests["step"].to_numpy(np.int64)]
    return frame, requests.drop(columns="step")


def _add_resets(steps: pd.DataFrame, run: SingleRun) -> None:
    """Count whom a cache reset preempts in the step that follows it."""
    times_s, counts = np.array(run.preemptions).T
    first = np.searchsorted(steps["start_s"].to_numpy(), times_s, "right")
    of_plans = np.concatenate([[0], np.cumsum(steps["preempted"].to_numpy(np.int64))])[first]
    of_resets = np.diff(counts.astype(np.int64) - of_plans)
    preempted = np.append(steps["preempted"].to_numpy(np.int64), 0)
    np.add.at(preempted, first[:-1], of_resets)
    steps["preempted"] = preempted[:-1]


def _window(frame: pd.DataFrame, start_s: float, seconds: float) -> pd.DataFrame:
    inside = (frame["start_s"] + frame["duration_s"] >= start_s) & (frame["start_s"] < start_s + seconds)
    return frame[inside].reset_index(drop=True)


def _deviation_s(run: SingleRun, rows: pd.DataFrame, end_s: float) -> float:
    """Over requests that both sides completed before the window's end: later arrivals are not replayed."""
    records = run.records[np.argsort(run.records["request"])]
    done = (records["status"] == Status.COMPLETED) & (rows["status"] == "completed").to_numpy()
    done &= rows["finish_s"].to_numpy() < end_s
    if not done.any():
        return 0.0
    return float(np.abs(records["finish_s"][done] - rows["finish_s"].to_numpy()[done]).max())
