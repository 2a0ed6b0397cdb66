"""LLMServingSim's bench: every request of a run, with the times at which the engine had it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.published.rows import Row, reading

URL = "https://github.com/casys-kaist/LLMServingSim"


def rows(checkout: Path, left_out: Counter[str]) -> Iterator[Row]:
    """One row a run: means, medians and tails of what its requests had."""
    for path in sorted((checkout / "bench/examples").rglob("vllm/meta.json")):
        with reading(path.with_name("requests.jsonl")) as answers:
            lines = answers.read_text(encoding="utf-8").splitlines()
            requests = pd.DataFrame([json.loads(line) for line in lines])
        if len(requests) < 2:
            left_out["no requests"] += 1
            continue
        with reading(path):
            row = _row(path.relative_to(checkout), json.loads(path.read_text(encoding="utf-8")), requests)
        yield row


def _row(path: Path, meta: dict[str, Any], requests: pd.DataFrame) -> Row:
    set_to = meta["engine_kwargs"]
    arrival_s = requests["arrival_time"] - requests["arrival_time"].min()
    ttft_s = requests["first_token_ts"] - requests["queued_ts"]
    stream_s = requests["last_token_ts"] - requests["first_token_ts"]
    tpot_s = (stream_s / (requests["output_toks"] - 1))[requests["output_toks"] > 1]
    span_s = requests["last_token_ts"].max() - requests["queued_ts"].min()
    row = {
        "row_id": "/".join(path.parts[2:-2]),
        "source": "LLMServingSim",
        "url": URL,
        "source_path": path.as_posix(),
        "dataset": "llmservingsim",
        "workload": "trace",
        "model": meta["model"],
        "gpu": path.parts[2],
        "engine": "vllm",
        "engine_version": meta["vllm_version"],
        "tp": str(set_to["tensor_parallel_size"]),
        "dp": str(set_to.get("data_parallel_size") or 1),
        "ep": "2" if set_to.get("enable_expert_parallel") else "1",
        "dtype": "bf16",
        "concurrency_or_rate": f"{len(requests) / arrival_s.max():.3f} req/s",
        "arrival": "open, poisson",
        "num_requests": str(len(requests)),
        "throughput_tok_s": f"{(requests['input_toks'] + requests['output_toks']).sum() / span_s:.2f}",
        "output_tok_s": f"{requests['output_toks'].sum() / span_s:.2f}",
        "request_tput_rps": f"{len(requests) / span_s:.4f}",
    }
    for name in ("max_num_seqs", "max_num_batched_tokens", "max_model_len"):
        if set_to.get(name):
            row[name] = str(set_to[name])
    for name in ("isl", "osl"):
        tokens = requests["input_toks" if name == "isl" else "output_toks"]
        row |= {name: f"{tokens.mean():.2f}", f"{name}_cv": f"{tokens.std() / tokens.mean():.3f}"}
    for metric, values_s in (("ttft", ttft_s), ("tpot", tpot_s), ("e2e", ttft_s + stream_s)):
        row[f"{metric}_mean_ms"] = f"{1e3 * values_s.mean():.3f}"
        for share, at in ((50, "p50"), (90, "p90"), (99, "p99")):
            row[f"{metric}_{at}_ms"] = f"{1e3 * np.percentile(values_s, share):.3f}"
    return row
