"""The catalog's step time against the steps of a measured run: `python -m bench.steps RUN.json.gz MODEL GPU [FORMAT]`.

For runs of one GPU with synchronous scheduling; FORMAT (fp8, say) is that of weights and KV cache, if not the model's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from calibrate.recording.run import Recording, read_run
from simulator.resolve.engines import plan_engine
from simulator.schema.engine import EngineSettings

LARGE_TOKENS = 2048
HEADERS = ("steps", "number", "measured median ms", "error median", "nine of ten, absolute")


def forecast_s(recording: Recording, model: str, gpu: str, weights: str | None) -> NDArray[np.float64]:
    """Duration of each profiled step by the catalog, for the engine's limits, s."""
    limits, steps = recording.config, recording.steps
    said = {
        "version": recording.vllm_version,
        "max_model_len": limits.max_model_len,
        "max_num_seqs": limits.max_num_seqs,
        "max_num_batched_tokens": limits.max_num_batched_tokens,
        "num_gpu_blocks_override": limits.num_blocks,
        "async_scheduling": False,
        **({"quantization": weights, "kv_cache_dtype": weights} if weights else {}),
    }
    time = plan_engine(model, gpu, 1, 1, EngineSettings.model_validate(said), Path()).step_time
    sequences, tokens = steps.sequences.astype(np.int64), steps.tokens.astype(np.int64)
    return time.durations_s(sequences, tokens, steps.prefill_units, steps.decode_context)


def main(file: str, model: str, gpu: str, weights: str | None = None) -> None:
    """Print the errors of decode steps, and of steps with prompts by how the engine launches them."""
    recording = read_run(file)
    steps = recording.steps
    errors = forecast_s(recording, model, gpu, weights) / steps.duration_s - 1
    captured = max(recording.capture_sizes, default=0)
    prompts = steps.prefill_units > 0
    groups = {
        "decode": ~prompts,
        f"with prompts, at most {captured} tokens": prompts & (steps.tokens <= captured),
        f"with prompts, to {LARGE_TOKENS} tokens": prompts & (steps.tokens > captured) & (steps.tokens <= LARGE_TOKENS),
        "with prompts, more": prompts & (steps.tokens > LARGE_TOKENS),
    }
    rows = [
        (
            name,
            int(which.sum()),
            f"{1e3 * np.median(steps.duration_s[which]):.1f}",
            f"{100 * np.median(errors[which]):+.0f} %",
            f"{100 * np.quantile(np.abs(errors[which]), 0.9):.0f} %",
        )
        for name, which in groups.items()
        if which.any()
    ]
    print(tabulate(rows, HEADERS))


if __name__ == "__main__":
    main(*sys.argv[1:])
