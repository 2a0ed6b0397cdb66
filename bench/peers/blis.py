"""Published results forecast with BLIS's published coefficients: its step and request times in servecast's scheduler.

BLIS replays vLLM's scheduler as well, so what is compared is the step time. An output token's own time (alpha2) is
added to TTFT and TPOT, as BLIS adds it to the first token and to the time between tokens.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from calibrate.serving.forecast import Case, prepare_runs, simulate_runs
from calibrate.serving.measured import MeasuredRow
from calibrate.serving.score import SCORED
from simulator.perf.steptime import StepTime

FILE = Path(__file__).with_name("blis_coefficients.yaml")
MICROSECOND = 1e-6
KEYS = ("model", "gpu", "dtype", "tp")


@lru_cache
def coefficients() -> dict[tuple[Any, ...], dict[str, list[float]]]:
    """alpha and beta in seconds, by (model, GPU, format, GPUs)."""
    entries = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))["coefficients"]
    return {
        tuple(entry[key] for key in KEYS): {
            name: [MICROSECOND * value for value in entry[name]] for name in ("alpha", "beta")
        }
        for entry in entries
    }


def answer(row: MeasuredRow) -> dict[str, float] | None:
    """TPOT and TTFT in seconds, of the statistics that the row gives; None where BLIS has no coefficients."""
    known = coefficients().get(tuple(getattr(row, key) for key in KEYS))
    if known is None or row.pp > 1 or row.expert_parallel:
        return None

    def steps(case: Case) -> StepTime:
        return _steps(known["alpha"], known["beta"], case)

    figures = simulate_runs(prepare_runs(row), steps).figures
    found = {}
    for metric in ("tpot", "ttft"):
        stat = next((s for s in SCORED[metric] if (metric, s) in row.figures), None)
        if stat:
            found[metric] = figures[metric, stat] + known["alpha"][2]
    return found


def _steps(alpha: list[float], beta: list[float], case: Case) -> StepTime:
    config = case.engine.config
    tokens = np.arange(config.max_num_batched_tokens + 1, dtype=np.float64)
    sequences = np.arange(config.max_num_seqs + 1, dtype=np.float64)
    return StepTime(
        token_time_s=(beta[0] + beta[1] * tokens)[None, :],
        seq_time_s=(beta[2] - beta[1]) * sequences,
        prefill_attn_s=0.0,
        decode_attn_s=0.0,
        calibrated=False,
        origin="BLIS",
        request_overhead_s=alpha[0] + alpha[1] * case.row.isl,
    )
