"""A recording of vLLM is drawn again from its seed: the engine, its requests and events are those that vLLM was given.

The READMEs beside the recordings name the command of each: modes that were added since change nothing that was drawn
before.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calibrate.experiments.engine_modes import ALL, parse_modes
from calibrate.experiments.random_engines import DrawnEngine, draw_engine

DATA = Path(__file__).resolve().parents[1] / "data"
FOLDERS = [DATA / f"vllm-schedule-{name}" for name in ("combinations", "edges", "offload")]
RECORDINGS = [path for folder in FOLDERS for path in sorted(folder.rglob("*.json.gz"))]
AS_ASKED = (
    *("num_gpu_blocks", "max_num_batched_tokens", "max_num_seqs", "max_model_len", "enable_prefix_caching"),
    *("enable_chunked_prefill", "long_prefill_token_threshold", "policy", "scheduler_reserve_full_isl", "watermark"),
    *("async_scheduling", "use_v2_model_runner", "offload", "mamba_cache_mode", "prefill_schedule_interval"),
    *("encoder_budget", "encoder_cache", "pipeline_parallel_size", "max_num_active_seqs", "max_num_scheduled_tokens"),
    *("disable_hybrid_kv_cache_manager", "max_loras", "data_parallel_size", "long_prefill_token_threshold_adaptive"),
    "disable_chunked_mm_input",
)
"""What vLLM keeps as it is given; other arguments become its own objects."""
DRAFTS = ("method", "num_speculative_tokens")


def drawn_again(path: Path) -> Iterator[DrawnEngine]:
    """By each command with the recording's seed; some seeds were drawn from in other modes for another version."""
    kind, seed, number = path.name.removesuffix(".json.gz").split("-")
    readme = next(folder for folder in FOLDERS if path.is_relative_to(folder)) / "README.md"
    for found in re.finditer(rf"--seed {seed}\b(?: --modes ([\w,-]+))?", readme.read_text("utf-8")):
        yield draw_engine(int(seed), int(number), parse_modes(found[1] or ALL), kind == "edge")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name} {path.name.partition('.')[0]}")
def test_a_recording_is_of_what_its_seed_draws(path: Path) -> None:
    recording: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    drawn = next(one for one in drawn_again(path) if one.mode == recording["mode"])
    assert drawn.requests == recording["requests"]
    asked = [
        {key: event[key] for key in event.keys() - {"worked", "preempted"}} for event in recording.get("events", ())
    ]
    assert drawn.events == asked
    assert {key: drawn.engine[key] for key in AS_ASKED if key in drawn.engine} == {
        key: recording["config"][key] for key in AS_ASKED if key in drawn.engine
    }
    drafts = drawn.engine.get("speculative")
    assert drafts is None or {key: drafts[key] for key in DRAFTS} == {
        key: recording["config"]["speculative"][key] for key in DRAFTS
    }
