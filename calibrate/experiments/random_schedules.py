"""Random engine limits and workloads that reach the corners of the scheduler."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.config import EngineConfig
from simulator.engine.reference.limits import can_serve
from simulator.engine.schedule_trace import config_from_limits
from simulator.rng import stream

_SHARED_SEGMENTS = 1
_PRIVATE_SEGMENTS = 10_000
_ENGINE_BLOCK_SIZES = (32, 64, 128)
_BLOCK_SIZES = (1, 2, 3, 5, 7, 8, 16, 16, 16, 24, 32, 64, 128)


def random_limits(seed: int, number: int, for_engine: bool) -> dict[str, Any]:
    """Limits of one engine, in the names of a schedule recording.

    Parameters
    ----------
    for_engine : within what a whole engine accepts: block sizes of the attention kernels, a longest sequence that fits
        into the KV cache
    """
    draw = stream(seed, "limits", number)
    block_size = int(draw.choice(_ENGINE_BLOCK_SIZES if for_engine else _BLOCK_SIZES))
    blocks = 2 + int(np.exp(draw.uniform(np.log(4), np.log(600))))
    capacity = (blocks - 1) * block_size
    longest = int(np.clip(capacity * draw.uniform(0.3, 1.0 if for_engine else 1.5), 8, 4096))
    seqs = int(np.exp(draw.uniform(0, np.log(64))))
    chunked = bool(draw.random() < 0.75)
    least = seqs if chunked else max(seqs, longest)
    budget = least + int(np.exp(draw.uniform(0, np.log(1500)))) - 1
    return {
        "num_gpu_blocks": blocks,
        "block_size": block_size,
        "enable_prefix_caching": bool(draw.random() < 0.6),
        "max_num_batched_tokens": budget,
        "max_num_seqs": seqs,
        "max_model_len": longest,
        "enable_chunked_prefill": chunked,
        "long_prefill_token_threshold": int(draw.integers(1, longest + 1)) if draw.random() < 0.3 else 0,
        "policy": "priority" if draw.random() < 0.4 else "fcfs",
        "scheduler_reserve_full_isl": bool(draw.random() < 0.6),
        "watermark": float(draw.choice([0.0, 0.0, 0.01, 0.05, 0.2, 0.5])),
        "async_scheduling": False,
    }


def random_requests(limits: dict[str, Any], seed: int, number: int) -> list[dict[str, Any]]:
    """Requests that the engine can serve, with shared prefixes, in bursts and in trickles; ids in order of arrival."""
    draw = stream(seed, "requests", number)
    config = config_from_limits(limits)
    capacity = min(config.max_model_len, (config.num_blocks - 1) * config.block_size)
    mean_isl = max(1.0, capacity * float(np.exp(draw.uniform(np.log(0.02), np.log(0.6)))))
    mean_osl = float(np.exp(draw.uniform(np.log(2), np.log(80))))
    shared = [int(length) for length in 1 + draw.geometric(min(1.0, 1.5 / mean_isl), size=6)]
    steps_between = float(draw.choice([0.0, 0.3, 2.0, 10.0]))
    requests: list[dict[str, Any]] = []
    arrival = 0
    for _ in range(int(draw.integers(8, 60))):
        arrival += int(draw.poisson(steps_between))
        prompt = _prompt(draw, len(requests), mean_isl, shared)
        osl = int(draw.geometric(1 / mean_osl))
        fitted = _fit(config, prompt, osl)
        if fitted is not None:
            requests.append(
                {
                    "id": len(requests),
                    "arrival_step": arrival,
                    "prompt": fitted[0],
                    "osl": fitted[1],
                    "priority": int(draw.integers(0, 4)),
                }
            )
    return requests or [{"id": 0, "arrival_step": 0, "prompt": [[_PRIVATE_SEGMENTS, 1]], "osl": 1, "priority": 0}]


def _prompt(draw: np.random.Generator, number: int, mean_isl: float, shared: list[int]) -> list[list[int]]:
    """Up to three shared segments, whole or cut short, and most often a private rest."""
    prompt = []
    for _ in range(int(draw.choice([0, 1, 1, 2, 3]))):
        segment = int(draw.integers(len(shared)))
        is_whole = draw.random() < 0.7
        length = shared[segment] if is_whole else int(draw.integers(1, shared[segment] + 1))
        prompt.append([_SHARED_SEGMENTS + segment, length])
    if not prompt or draw.random() < 0.8:
        prompt.append([_PRIVATE_SEGMENTS + number, int(draw.geometric(min(1.0, 1 / mean_isl)))])
    return prompt


def _fit(config: EngineConfig, prompt: list[list[int]], osl: int) -> tuple[list[list[int]], int] | None:
    """Shorten output, then prompt, until the engine can serve the request; None if it cannot be done."""
    while True:
        isl = sum(length for _, length in prompt)
        if can_serve(config, isl, osl):
            return prompt, osl
        if osl > 1:
            osl //= 2
        elif len(prompt) > 1:
            prompt = prompt[:-1]
        elif isl > 1:
            prompt = [[prompt[0][0], isl // 2]]
        else:
            return None
