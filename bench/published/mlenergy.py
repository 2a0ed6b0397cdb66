"""ML.ENERGY's leaderboard: power and inter-token latency of language models by batch, in JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.published.rows import Row, reading

URL = "https://github.com/ml-energy/leaderboard"
PROMPT_TOKENS = {"lm-arena-chat": 250, "gpqa": 250, "sourcegraph-fim": 600}
"""Mean prompts by task: author estimates, as the leaderboard has outputs alone (2026-11-29)."""
ENGINE_VERSION = "0.11.1"
"""Of the leaderboard's v3.0, by its own page."""
MOST_PREFILL = 0.25
"""Steps with a prompt in them, of all: beyond, the median time between two tokens is not that of decoding."""


def rows(checkout: Path, left_out: Counter[str]) -> Iterator[Row]:
    """Rows of language models that decode most of the time; the median time between two tokens stands as TPOT.

    Attention is split over the GPUs of a rank, also where the experts are not (`tensor_parallel` 1 beside
    `expert_parallel` 8 on eight GPUs, with one rank).
    """
    for task in PROMPT_TOKENS:
        with reading(checkout / "public/data/tasks" / f"{task}.json") as path:
            configurations = json.loads(path.read_text(encoding="utf-8"))["configurations"]
            found = [_row(task, number, one) for number, one in enumerate(configurations)]
        for row in found:
            if row is None:
                left_out["prompts in more than a quarter of the steps"] += 1
            else:
                yield row


def _row(task: str, number: int, one: dict[str, Any]) -> Row | None:
    if one["avg_batch_size"] / one["avg_output_len"] > MOST_PREFILL:
        return None
    return {
        "row_id": f"{task}:{number}",
        "source": "ML.ENERGY Leaderboard",
        "url": URL,
        "source_path": f"public/data/tasks/{task}.json",
        "dataset": "mlenergy",
        "workload": task,
        "model": one["model_id"],
        "dtype": {"bfloat16": "bf16"}.get(one["weight_precision"], one["weight_precision"]),
        "gpu": one["gpu_model"],
        "n_gpu": str(one["num_gpus"]),
        "tp": str(one["num_gpus"] // one["data_parallel"]),
        "dp": str(one["data_parallel"]),
        "ep": str(one["expert_parallel"]),
        "engine": "vllm",
        "engine_version": ENGINE_VERSION,
        "isl": str(PROMPT_TOKENS[task]),
        "osl": f"{one['avg_output_len']:.2f}",
        "concurrency_or_rate": str(one["max_num_seqs"]),
        "arrival": "closed loop",
        "max_num_seqs": str(one["max_num_seqs"]),
        "tpot_p50_ms": f"{one['median_itl_ms']:.4f}",
    }
