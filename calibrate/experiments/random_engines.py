"""Random engines in random combinations of modes, with workloads that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrate.experiments.engine_modes import CONNECTORS, DRAFTS, LAYERS, draw_modes
from calibrate.experiments.mode_requests import draw_events, draw_requests
from simulator.rng import stream

_BLOCK_SIZES = (1, 4, 8, 16, 16, 16, 32, 48)
_METHODS = {
    "ngram": "ngram",
    "eagle": "eagle",
    "mtp": "mtp",
    "mtp-modules": "mtp",
    "draft-model": "draft_model",
    "dflash": "dflash",
    "drafts-by-batch-size": "eagle",
    "eagle3": "eagle3",
    "p-eagle": "eagle3",
    "dspark": "dspark",
    "pard": "draft_model",
    "medusa": "medusa",
    "suffix": "suffix",
    "ngram-gpu": "ngram_gpu",
}
_LINEAR_PREFIX = frozenset({"linear-prefix", "linear-prefix-connected", "linear-windows"})
_GROUPED = frozenset(LAYERS) - {"hybrid-off", "window"}


@dataclass(frozen=True, slots=True)
class DrawnEngine:
    """An engine with its work; `modes` are the names that were drawn."""

    modes: tuple[str, ...]
    engine: dict[str, Any]
    requests: list[dict[str, Any]]
    events: list[dict[str, Any]]

    @property
    def mode(self) -> str:
        return "+".join(self.modes)


def draw_engine(seed: int, number: int, allowed: Sequence[str], edges: bool = False) -> DrawnEngine:
    """Engine `number` of a seed, in a random combination of the modes that are allowed.

    Parameters
    ----------
    edges : more modes at once, few blocks and small budgets, requests at the limits of their engine
    """
    kind = ("edges",) if edges else ()
    draw = stream(seed, "engine", *kind, number)
    modes = draw_modes(draw, allowed, edges)
    engine = _limits(draw, modes)
    if edges:
        _tighten(draw, modes, engine)
    engine |= _flight(draw, modes) | _drafts(draw, modes, engine) | _layers(draw, modes) | _work(draw, modes, engine)
    capacity = _fit(engine)
    requests = draw_requests(stream(seed, "requests", *kind, number), modes, engine, capacity, edges)
    return DrawnEngine(modes, engine, requests, draw_events(stream(seed, "events", *kind, number), modes, requests))


def _limits(draw: np.random.Generator, modes: Sequence[str]) -> dict[str, Any]:
    grouped = bool(_GROUPED & set(modes))
    low, high = (120, 420) if grouped else (24, 200)
    engine: dict[str, Any] = {
        "num_gpu_blocks": int(np.exp(draw.uniform(np.log(low), np.log(high)))),
        "block_size": int(draw.choice((8, 16, 32) if grouped else _BLOCK_SIZES)),
        "max_num_batched_tokens": int(draw.choice([48, 64, 96, 160, 256, 512])),
        "max_num_seqs": int(draw.integers(2, 32)),
        "max_model_len": 2048,
        "enable_prefix_caching": bool(draw.random() < 0.65),
        "enable_chunked_prefill": "chunking-off" not in modes,
        "long_prefill_token_threshold": 0,
        "policy": "priority" if "priority" in modes else "fcfs",
        "scheduler_reserve_full_isl": bool(draw.random() < 0.7),
        "watermark": float(draw.choice([0.01, 0.05, 0.2])) if "watermark" in modes else 0.0,
    }
    if engine["block_size"] < 4:
        engine["num_gpu_blocks"] *= 4
    if "long-prefill" in modes:
        engine["long_prefill_token_threshold"] = int(draw.integers(4, 80))
    if "adaptive-prefill" in modes:
        engine["long_prefill_token_threshold"] = int(draw.integers(2, 24))
        engine["long_prefill_token_threshold_adaptive"] = True
    if "active-seqs" in modes:
        engine["max_num_active_seqs"] = int(draw.integers(1, engine["max_num_seqs"] + 1))
    if "scheduled-tokens" in modes:
        engine["max_num_scheduled_tokens"] = int(draw.integers(20, engine["max_num_batched_tokens"] + 1))
    engine["max_num_batched_tokens"] = max(engine["max_num_batched_tokens"], engine["max_num_seqs"])
    return engine


def _tighten(draw: np.random.Generator, modes: Sequence[str], engine: dict[str, Any]) -> None:
    """Few blocks, small budgets and batches; a plan may be allowed more tokens than its step has inputs."""
    if draw.random() < 0.5:
        low, high = (60, 120) if _GROUPED & set(modes) else (10, 30)
        engine["num_gpu_blocks"] = int(draw.integers(low, high))
    if draw.random() < 0.3:
        engine["max_num_seqs"] = int(draw.integers(1, 5))
    if "max_num_active_seqs" in engine:
        engine["max_num_active_seqs"] = int(draw.integers(1, engine["max_num_seqs"] + 1))
    engine["max_num_batched_tokens"] = max(int(draw.choice([8, 16, 33, 64, 128])), engine["max_num_seqs"])
    engine["enable_prefix_caching"] = bool(draw.random() < 0.8)


def _flight(draw: np.random.Generator, modes: Sequence[str]) -> dict[str, Any]:
    """The V1 model runner refuses asynchronous plans with pipeline stages and with n-grams; the V2 runner has both.

    Drafts in a synchronous pipeline stand still: those of the newest plan are set before the oldest output is applied.
    """
    asynchronous = "async" in modes or ("pipeline" in modes and any(name in DRAFTS for name in modes))
    found: dict[str, Any] = {"async_scheduling": asynchronous}
    if "pipeline" in modes:
        found["pipeline_parallel_size"] = int(draw.choice([2, 2, 3, 4]))
    refused = asynchronous and ("pipeline" in modes or "ngram" in modes)
    found["use_v2_model_runner"] = bool(refused or draw.random() < 0.25)
    return found


def _drafts(draw: np.random.Generator, modes: Sequence[str], engine: dict[str, Any]) -> dict[str, Any]:
    name = next((mode for mode in modes if mode in DRAFTS), None)
    if name is None:
        return {}
    k = int(draw.integers(2 if name == "mtp-modules" else 1, 6))
    found: dict[str, Any] = {"method": _METHODS[name], "num_speculative_tokens": k}
    if name == "mtp-modules":
        found["mtp_modules"] = int(draw.integers(k, k + 2))
    if name in ("p-eagle", "pard"):
        found["parallel_drafting"] = True
    if name == "eagle" and draw.random() < 0.15:
        found["disable_eagle_block_drop"] = True
    if name == "drafts-by-batch-size":
        most = engine["max_num_seqs"]
        cut = max(1, most // 3)
        rows = [[1, cut, k], [cut + 1, max(cut + 1, most), int(draw.integers(1, k + 1))]]
        found["per_batch_size"] = rows
    return {"speculative": found}


def _layers(draw: np.random.Generator, modes: Sequence[str]) -> dict[str, Any]:
    name = next((mode for mode in modes if mode in LAYERS), None)
    window = int(draw.choice([24, 64, 100, 128]))
    if name == "window":
        return {"layers": [[f"window:{window}", 4]]}
    if name == "hybrid":
        pattern = int(draw.integers(3))
        if pattern == 2:
            return {"layers": [["full", 2], [f"window:{window}", 4], [f"window:{2 * window}", 2]]}
        return {
            "layers": [[f"window:{window}", 10], ["full", 2]] if pattern else [[f"window:{window}", 6], ["full", 6]]
        }
    if name == "two-lengths":
        return {"layers": [[f"window:{window}", int(draw.choice([2, 10]))], ["half", 2]]}
    if name == "local-chunks":
        return {"layers": [[f"chunk:{int(draw.choice([64, 128]))}", 6], ["full", 2]]}
    if name == "hybrid-off":
        return {"layers": [[f"window:{window}", 6], ["full", 2]], "disable_hybrid_kv_cache_manager": True}
    if name in ("linear", "linear-connected", *_LINEAR_PREFIX):
        aligned = name in _LINEAR_PREFIX
        many = int(draw.choice([2, 6]))
        windows = [[f"window:{window}", many]] if name == "linear-windows" else []
        found = {
            "layers": [["mamba", many], *windows, ["full", 2]],
            "mamba_cache_mode": "align" if aligned else "none",
            "enable_prefix_caching": aligned,
        }
        return found | ({"saved_states": True} if aligned and "saved-states" in modes else {})
    return {}


def _work(draw: np.random.Generator, modes: Sequence[str], engine: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    connector = next((mode for mode in modes if mode in CONNECTORS), None)
    if connector:
        found["connector"] = connector.split("-")[0]
    if connector == "offload":
        found["offload"] = _offload(draw, engine)
    if "encoder" in modes:
        found |= {"encoder_budget": 100, "encoder_cache": int(draw.integers(100, 260))}
        if not _LINEAR_PREFIX & set(modes) and draw.random() < 0.4:
            found["disable_chunked_mm_input"] = True
            found["max_num_batched_tokens"] = max(engine["max_num_batched_tokens"], 160)
    if "lora" in modes:
        found["max_loras"] = int(draw.integers(1, 4))
    if "grammar" in modes:
        found["structured"] = True
    ranks = {"data-parallel", "ranks-connected"} & set(modes)
    if ranks:
        found["data_parallel_size"] = int(draw.choice([2, 2, 3, 4]))
    if "prefill-interval" in modes or (ranks and draw.random() < 0.5):
        found["prefill_schedule_interval"] = int(draw.integers(2, 6))
    return found


def _offload(draw: np.random.Generator, engine: dict[str, Any]) -> dict[str, Any]:
    """Memory of the CPU from a few chunks to all that requests ever fill."""
    blocks_per_chunk = int(draw.choice([1, 1, 2, 3]))
    share = float(np.exp(draw.uniform(np.log(0.1), np.log(8.0))))
    return {
        "cpu_chunks": max(2, int(share * engine["num_gpu_blocks"] / blocks_per_chunk)),
        "blocks_per_chunk": blocks_per_chunk,
        "eviction_policy": str(draw.choice(["lru", "arc"])),
        "store_threshold": int(draw.choice([0, 0, 2, 3])),
        "max_tracker_size": int(draw.choice([8, 64_000])),
        "offload_prompt_only": bool(draw.random() < 0.5),
    }


def _fit(engine: dict[str, Any]) -> int:
    """Make the limits agree; tokens that one request can have beside nothing else."""
    drafts = int(engine.get("speculative", {}).get("num_speculative_tokens", 0))
    usable = (engine["num_gpu_blocks"] - 1) // _groups(engine) - 3
    capacity = max(4, usable * engine["block_size"])
    engine["max_model_len"] = min(engine["max_model_len"], capacity)
    least = engine["max_num_seqs"]
    if drafts:
        least = max(least, 3 * (drafts + 2))
        if "max_num_scheduled_tokens" in engine:
            engine["max_num_scheduled_tokens"] = max(engine["max_num_scheduled_tokens"], 3 * (drafts + 2))
    if not engine["enable_chunked_prefill"]:
        engine["max_model_len"] = min(engine["max_model_len"], 512)
        least = max(least, engine["max_model_len"] + drafts + 2)
        engine.pop("max_num_scheduled_tokens", None)
    engine["max_num_batched_tokens"] = max(engine["max_num_batched_tokens"], least)
    engine["long_prefill_token_threshold"] = min(engine["long_prefill_token_threshold"], engine["max_model_len"])
    return int(engine["max_model_len"]) - 4 * drafts - 2


def _groups(engine: dict[str, Any]) -> int:
    """KV cache groups that vLLM cuts the layers into: of equal size, as large as the smallest kind has layers."""
    if engine.get("disable_hybrid_kv_cache_manager") or "layers" not in engine:
        return 1
    sizes = [many for _, many in engine["layers"]]
    size = max(sizes) if max(sizes) < 1.5 * min(sizes) else min(sizes)
    return sum(-(-many // size) for many in sizes)
