"""One published result, simulated: the same configuration, load and statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.serving.front_end import heard_s, service_s
from calibrate.serving.measured import ClosedLoop, MeasuredRow
from calibrate.serving.names import NotSupported
from calibrate.serving.sources import (
    async_scheduling,
    engine_limits,
    engine_version,
    length_spreads,
    own_hardware,
    source_of,
)
from calibrate.serving.traffic import Traffic, make_traffic, number_of_requests
from simulator.errors import InputError
from simulator.fleet.records import Status
from simulator.fleet.single import run_single
from simulator.perf.architecture import body_parameters_per_token
from simulator.perf.roofline import FLOPS_PER_PARAMETER
from simulator.perf.steptime import StepTime
from simulator.resolve.checkpoint import architecture
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.schema.engine import EngineSettings
from simulator.workload.requests import make_requests

REPLICATIONS = 4
"""Runs of a row whose requests are random and at most …"""
FEW_REQUESTS = 1000
MOST_COMPUTE = 0.65
"""Share of the published peak compute beyond which a result of random prompts is not believed: large matrix products
alone reach 0.5 to 0.8 of it."""
_ACTIVATIONS = {"bf16": "bfloat16", "fp16": "float16"}
"""vLLM's names of the formats that are not quantized."""
STATISTICS = ("mean", "p50", "p90", "p99")


@dataclass(frozen=True, slots=True)
class Case:
    """A row made ready: the engine, planned, and its requests."""

    row: MeasuredRow
    engine: PlannedEngine
    traffic: Traffic


StepModel = Callable[[Case], StepTime]
"""How long a step of a case takes."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What was simulated of a row.

    Attributes
    ----------
    figures : by (metric, statistic), as `MeasuredRow.figures`
    alone_ttft_s : TTFT of one request of mean length on an idle engine
    kv_tokens : tokens that the KV cache holds
    mean_running : requests that decode, in the mean over the run
    """

    figures: dict[tuple[str, str], float]
    completed: int
    alone_ttft_s: float
    kv_tokens: int
    mean_running: float


def prepare(row: MeasuredRow, *, seed: int = 0, cv_scale: float = 1.0) -> Case:
    """Plan the engine of a row and draw its requests.

    Raises
    ------
    NotSupported : the model does not fit, or cannot be split that way
    """
    try:
        engine = plan_engine(row.model, row.gpu, row.tp, row.pp, _settings(row), Path(), own=own_hardware(row))
    except InputError as error:
        raise NotSupported(str(error)) from error
    needed, most = row.isl + row.generated_tokens, engine.memory.max_model_len
    if needed > most:
        raise NotSupported(f"prompt and output of {needed:.0f} tokens do not fit the context of {most} tokens")
    share = _compute_share(row, engine)
    if share > MOST_COMPUTE:
        raise NotSupported(f"implies {100 * share:.0f} % of the peak compute: not one replica, or a warm prefix cache")
    traffic = make_traffic(row, engine.memory.max_model_len, seed=seed, cv_scale=cv_scale)
    wanted = row.prefix_caching is not False and traffic.shares_content
    config = replace(engine.config, enable_prefix_caching=wanted)
    return Case(row, replace(engine, config=config), traffic)


def _compute_share(row: MeasuredRow, engine: PlannedEngine) -> float:
    """Share of the published peak that a closed loop's figures imply: requests/s by Little's law, times the products
    of all its tokens; 0 for other loads, and where nothing follows."""
    if (
        not isinstance(row.load, ClosedLoop)
        or ("ttft", "mean") not in row.figures
        or ("tpot", "mean") not in row.figures
    ):
        return 0.0
    stay_s = row.figures["ttft", "mean"] + (row.generated_tokens - 1) * row.figures["tpot", "mean"]
    arch, _ = architecture(row.model, Path())
    flops = FLOPS_PER_PARAMETER * body_parameters_per_token(arch) * (row.isl + row.generated_tokens)
    peak = engine.gpu.device.peak_flops[engine.layout.weights.compute] * row.gpus
    return row.load.concurrency / stay_s * flops / peak


def prepare_runs(row: MeasuredRow, *, seed: int = 0, cv_scale: float = 1.0) -> tuple[Case, ...]:
    """The row made ready several times with other arrivals and lengths, where these are random and few.

    Raises
    ------
    NotSupported : the model does not fit, or cannot be split that way
    """
    random = any(spread.cv > 0 for spread in length_spreads(row))
    runs = REPLICATIONS if random and number_of_requests(row) <= FEW_REQUESTS else 1
    return tuple(prepare(row, seed=seed * REPLICATIONS + k, cv_scale=cv_scale) for k in range(runs))


def simulate_runs(cases: Sequence[Case], step_model: StepModel, each_s: float | None = None) -> Forecast:
    """Mean of the figures over the runs of one row; `each_s` as in `simulate_case`."""
    forecasts = [simulate_case(case, step_model(case), each_s) for case in cases]
    first = forecasts[0]
    figures = {key: float(np.mean([one.figures[key] for one in forecasts])) for key in first.figures}
    return replace(first, figures=figures, mean_running=float(np.mean([one.mean_running for one in forecasts])))


def _settings(row: MeasuredRow) -> EngineSettings:
    limits = engine_limits(row)
    source = source_of(row)
    seats = int(limits["max_num_seqs"])
    if source.get("seats_are_concurrency") and isinstance(row.load, ClosedLoop):
        seats = row.load.concurrency
    kv_dtype = row.kv_dtype
    if kv_dtype == "auto":
        kv_dtype = source.get("kv_dtype", "auto")
    length = limits.get("max_model_len")
    tokens = int(limits["max_num_batched_tokens"])
    chunked = row.chunked_prefill is not False
    if not chunked and length:
        tokens = max(tokens, int(length))
    return EngineSettings.model_validate(
        {
            "dtype": _ACTIVATIONS.get(row.dtype, "auto"),
            "quantization": "none" if row.dtype in _ACTIVATIONS else row.dtype,
            "kv_cache_dtype": _ACTIVATIONS.get(kv_dtype, kv_dtype),
            "gpu_memory_utilization": limits["gpu_mem_util"],
            "num_gpu_blocks_override": int(limits["kv_blocks"]) if "kv_blocks" in limits else None,
            "max_num_seqs": seats,
            "max_num_batched_tokens": tokens,
            "max_model_len": int(length) if length else None,
            "enable_chunked_prefill": chunked,
            "enable_expert_parallel": row.expert_parallel,
            "data_parallel_size": row.dp if architecture(row.model, Path())[0].experts else 1,
            "version": engine_version(row),
            "endpoint": "completions",  # chats of a row wait in a queue of their own: `front_end.heard_s`
            **source.get("engine", {}),
            "async_scheduling": async_scheduling(row),
        }
    )


def simulate_case(case: Case, step_time: StepTime, each_s: float | None = None) -> Forecast:
    """Serve the case's requests and take the statistics that published results give.

    Requests longer than the client's timeout count as failed. The server is not told: until the first one fails that
    changes nothing, and after it the queue stays too long for any to succeed.

    Parameters
    ----------
    each_s : time of the API process for each request; None takes the catalog's
    """
    if source_of(case.row).get("times") == "engine":
        step_time = replace(step_time, request_overhead_s=0.0)
    records = _served(case, step_time, service_s(case.row) if each_s is None else each_s)
    counted = records[records["arrival_s"] >= case.traffic.origin_s]
    done = counted[counted["status"] == Status.COMPLETED]
    patience_s = source_of(case.row).get("client_timeout_s", np.inf)
    patient = done[done["finish_s"] - done["arrival_s"] <= patience_s]
    end_s = float(done["finish_s"].max())
    if len(patient) < len(done):
        done, end_s = patient, float(done["arrival_s"].max()) + patience_s
    if not len(done):
        raise NotSupported("no request completes: prompts are too long for the engine")
    ttft = done["first_token_s"] - done["arrival_s"]
    e2e = done["finish_s"] - done["arrival_s"]
    several = done["osl"] > 1
    tpot = (e2e - ttft)[several] / (done["osl"][several] - 1)
    figures: dict[tuple[str, str], float] = {}
    for metric, values in (("ttft", ttft), ("tpot", tpot), ("e2e", e2e)):
        if len(values):
            middle = [float(value) for value in np.percentile(values, (50, 90, 99))]
            figures |= dict(zip(((metric, s) for s in STATISTICS), [float(values.mean()), *middle], strict=True))
    span_s = end_s - case.traffic.origin_s
    rate = len(done) / span_s
    figures["throughput", "requests"] = rate
    figures["throughput", "output"] = rate * case.row.osl
    figures["throughput", "total"] = rate * (case.row.isl + case.row.osl)
    return Forecast(
        figures,
        len(done),
        alone_ttft_s(case, step_time),
        (case.engine.config.num_blocks - 1) * case.engine.config.block_size * case.row.dp,
        float((e2e - ttft).sum()) / span_s,
    )


def _served(case: Case, step_time: StepTime, each_s: float) -> NDArray[Any]:
    """Records of the case's requests. Where the API process takes its time, their arrivals are those at the server.

    Of a closed loop the requests that begin it queue there together; a later one, which is sent when another has ended,
    is rendered at once.
    """
    requests = case.traffic.requests
    if not each_s:
        return run_single(case.engine.config, step_time, requests, replicas=case.row.dp).records
    opens = ~np.isnan(requests.arrival_s)
    heard = requests.arrival_s.copy()
    heard[opens] = heard_s(requests.arrival_s[opens], each_s)
    heard_of = replace(requests, arrival_s=heard, think_s=np.where(opens, requests.think_s, requests.think_s + each_s))
    records = run_single(case.engine.config, step_time, heard_of, replicas=case.row.dp).records
    sent = requests.arrival_s[records["request"]]
    records["arrival_s"] = np.where(np.isnan(sent), records["arrival_s"] - each_s, sent)
    return records


def alone_ttft_s(case: Case, step_time: StepTime) -> float:
    """TTFT of one request of mean length on an idle engine."""
    isl = min(max(round(case.row.isl), 1), case.engine.config.max_model_len - 1)
    one = make_requests(np.zeros(1), np.array([isl]), np.array([1]))
    record = run_single(case.engine.config, step_time, one).records[0]
    return float(record["first_token_s"])
