"""Schedule recordings: made on real vLLM, written, and replayed by the simulator's engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate.experiments.random_schedules import random_limits, random_requests
from calibrate.vllm_process import VllmProcess, engine_arguments
from simulator.engine.schedule_trace import FORMAT
from simulator.engine.verify import ScheduleCheck, check_schedule
from simulator.errors import InputError, Problem
from simulator.results.files import write_text

TINY_MODEL = Path(__file__).parents[1] / "models" / "tiny-llama"
SYNCHRONOUS = {"load-format": "dummy", "skip-tokenizer-init": None, "no-async-scheduling": None}


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, replayed by the compiled engine and by its reference."""

    path: Path
    checks: tuple[ScheduleCheck, ...]

    @property
    def identical(self) -> bool:
        return all(check.identical for check in self.checks)


def record_random(
    vllm: Callable[[], VllmProcess], out: Path, number: int, seed: int, with_engine: bool
) -> Iterator[Recording]:
    """Record and replay `number` random engines and workloads.

    Parameters
    ----------
    vllm : starts a process; a whole engine needs one of its own each
    with_engine : start the whole engine with a one-layer model; otherwise its scheduler alone is driven
    """
    if with_engine:
        for k in range(number):
            with vllm() as process:
                limits = random_limits(seed, k, for_engine=True)
                process.call("start", arguments=limit_arguments(limits))
                yield _record(process, out / f"engine-{seed}-{k}.json", random_requests(limits, seed, k))
        return
    with vllm() as process:
        for k in range(number):
            limits = random_limits(seed, k, for_engine=False)
            requests = random_requests(limits, seed, k)
            made = process.call("record_alone", limits=limits, requests=requests, model=str(TINY_MODEL))
            yield _write(out / f"random-{seed}-{k}.json", made, requests)


def record_given(process: VllmProcess, out: Path, arguments: list[str], number: int, seed: int) -> Iterator[Recording]:
    """Record and replay `number` random workloads on the engine that `arguments` describe."""
    started = process.call("start", arguments=arguments)
    limits = started["limits"]
    if "speculative_config" in started["resolved"]:
        words = "whole engines are recorded in plain serving; --random with --using core draws drafters"
        raise InputError(Problem(words, path="--speculative-config"))
    if limits["async_scheduling"]:
        raise InputError(Problem("recordings are made with synchronous scheduling", path="--async-scheduling"))
    for k in range(number):
        yield _record(process, out / f"workload-{seed}-{k}.json", random_requests(limits, seed, k))


def _record(process: VllmProcess, path: Path, requests: list[dict[str, Any]]) -> Recording:
    return _write(path, process.call("record", requests=requests), requests)


def limit_arguments(limits: dict[str, Any]) -> list[str]:
    """vLLM's command line for an engine of these limits, with the one-layer model."""
    flags = {
        "enable-prefix-caching": limits["enable_prefix_caching"],
        "enable-chunked-prefill": limits["enable_chunked_prefill"],
        "scheduler-reserve-full-isl": limits["scheduler_reserve_full_isl"],
    }
    values = {
        "num-gpu-blocks-override": limits["num_gpu_blocks"],
        "block-size": limits["block_size"],
        "max-num-batched-tokens": limits["max_num_batched_tokens"],
        "max-num-seqs": limits["max_num_seqs"],
        "max-model-len": limits["max_model_len"],
        "long-prefill-token-threshold": limits["long_prefill_token_threshold"],
        "scheduling-policy": limits["policy"],
        "watermark": limits["watermark"],
    }
    extra = [f"--{'' if on else 'no-'}{name}" for name, on in flags.items()]
    extra += [f"--{name}={value}" for name, value in values.items()]
    return engine_arguments(str(TINY_MODEL), extra, {**SYNCHRONOUS, "enforce-eager": None})


def _write(path: Path, made: dict[str, Any], requests: list[dict[str, Any]]) -> Recording:
    """Write a recording whole or not at all, and replay it."""
    from simulator.engine.verify import replay_by_reference
    from simulator.fleet.replay import replay_kernel

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"format": FORMAT, **made, "requests": requests}, sort_keys=True) + "\n")
    return Recording(path, check_schedule(path, {"kernel": replay_kernel, "reference": replay_by_reference}))
