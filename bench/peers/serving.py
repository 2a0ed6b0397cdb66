"""servecast and aiconfigurator on the same published serving results: `python bench/peers/serving.py TABLE.csv …`.

aiconfigurator lives in an environment of its own: `pip install aiconfigurator==0.12.0` in `.venv-peers-aiconfigurator`.
It estimates one steady batch, so open loops are given the batch that was measured (rate times stay), bursts are left
out, and its estimates are compared below saturation only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibrate.serving.measured import Burst
from calibrate.serving.read import read_tables
from calibrate.serving.report import compare_rows
from calibrate.serving.score import BELOW, SCORED, Scored
from calibrate.serving.sources import source_of
from calibrate.serving.steps import catalog_steps
from simulator.catalog.models import models
from simulator.cli.output import print_table

PYTHON = Path(__file__).resolve().parents[2] / ".venv-peers-aiconfigurator" / "bin" / "python"
EVERY = 4
"""Of rows whose statistic is not documented, every so-many-th is asked: an answer takes seconds."""
ANSWERS = PYTHON.parents[1] / "serving-answers.json"
SYSTEMS = {
    "a100-80": "a100_sxm",
    "h100-sxm": "h100_sxm",
    "h100-pcie": "h100_pcie",
    "h200": "h200_sxm",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "l40s": "l40s",
    "rtx-pro-6000": "rtx_pro_6000_server",
}
MODES: dict[str, dict[str, str]] = {
    "fp8": {"gemm_quant_mode": "fp8", "moe_quant_mode": "fp8"},
    "fp4": {"gemm_quant_mode": "nvfp4", "moe_quant_mode": "nvfp4"},
    "int4": {"gemm_quant_mode": "int4_wo", "moe_quant_mode": "int4_wo"},
    "mxfp4": {"gemm_quant_mode": "bfloat16", "moe_quant_mode": "w4a16_mxfp4"},
    "bf16": {"gemm_quant_mode": "bfloat16", "moe_quant_mode": "bfloat16"},
}
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
}


def point(scored: Scored) -> dict[str, Any] | None:
    """The row as aiconfigurator is asked; None where it has no such GPU or format."""
    row = scored.row
    entry = models().get(row.model)
    if row.gpu not in SYSTEMS or row.dtype not in MODES or entry is None or isinstance(row.load, Burst):
        return None
    modes = dict(MODES[row.dtype])
    if row.kv_dtype == "fp8":
        modes["kvcache_quant_mode"] = "fp8"
    config = dict(entry.config)
    config["architectures"] = [ARCHITECTURES.get(config["model_type"], "LlamaForCausalLM")]
    return {
        "row_id": f"{row.place} {row.row_id}",
        "model": row.model,
        "hf_id": entry.hf_id,
        "config": config,
        "system": SYSTEMS[row.gpu],
        "isl": row.isl,
        "osl": row.generated_tokens,
        "batch": scored.in_flight,
        "tp": row.tp,
        "pp": row.pp,
        "modes": modes,
    }


def estimates(points: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """aiconfigurator's answers by row; kept in its environment, since they take a while."""
    kept: dict[str, dict[str, Any]] = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    new = [one for one in points if one["row_id"] not in kept]
    if new:
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = Path(folder) / "points.json", Path(folder) / "result.json"
            asked.write_text(json.dumps(new))
            script = Path(__file__).with_name("run_aiconfigurator.py")
            subprocess.run([str(PYTHON), str(script), str(asked), str(answered)], check=True, stderr=subprocess.DEVNULL)
            kept |= json.loads(answered.read_text())
        ANSWERS.write_text(json.dumps(kept))
    return kept


def errors(below: list[Scored], found: dict[str, dict[str, Any]], metric: str) -> list[tuple[str, float, float]]:
    """(model, our error, theirs) of every row that both answer."""
    rows = []
    for one in below:
        answer = found.get(f"{one.row.place} {one.row.row_id}", {})
        stat = next((s for s in SCORED[metric] if (metric, s) in one.row.figures), None)
        if metric in answer and stat:
            measured = one.row.figures[metric, stat]
            ours = one.forecast.figures[metric, stat]
            rows.append((one.row.model, ours / measured - 1, answer[metric] / measured - 1))
    return rows


def main() -> None:
    tables = [Path(name) for name in sys.argv[1:]]
    read = read_tables(tables)
    kept = tuple(row for k, row in enumerate(read.rows) if k % EVERY == 0 or "statistic" not in source_of(row))
    comparison = compare_rows(replace(read, rows=kept), catalog_steps)
    below = [one for one in comparison.scored if one.regime == BELOW]
    points = [asked for one in below if (asked := point(one))]
    found = estimates(points)
    lines: list[list[str]] = []
    for metric in ("tpot", "ttft"):
        rows = errors(below, found, metric)
        for name in ("all", *sorted({row[0] for row in rows})):
            chosen = [row for row in rows if name in ("all", row[0])]
            lines.append([f"{metric} {name}", str(len(chosen)), *(_summary([r[k] for r in chosen]) for k in (1, 2))])
    print_table(lines, ("rows that both answer", "n", "servecast", "aiconfigurator 0.12.0"))
    reasons = Counter(answer["reason"] for answer in found.values() if "reason" in answer)
    print(
        f"\n{len(below)} rows below saturation; no answer for {len(below) - len(points)} (GPU, format or model unknown)"
    )
    for reason, count in reasons.most_common(8):
        print(f"no answer for {count}: {reason[:150]}")


def _summary(values: list[float]) -> str:
    ordered = sorted(abs(value) for value in values)
    middle, high = ordered[len(ordered) // 2], ordered[int(0.9 * (len(ordered) - 1))]
    bias = sorted(values)[len(values) // 2]
    return f"{100 * middle:.1f} / {100 * high:.0f} / {100 * bias:+.0f} %"


if __name__ == "__main__":
    main()
