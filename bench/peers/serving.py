"""servecast and its peers on the same published serving results: `python bench/peers/serving.py TABLE.csv …`.

aiconfigurator and vllm-sr-sim live in environments of their own (README.md). Both estimate one steady batch, so open
loops are given the batch that was measured (rate times stay), bursts are left out, and estimates are compared below
saturation only. BLIS's coefficients run in servecast's scheduler, on the rows that they were published for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import blis

from calibrate.serving.measured import Burst
from calibrate.serving.read import read_tables
from calibrate.serving.report import compare_rows
from calibrate.serving.score import BELOW, SCORED, Scored
from calibrate.serving.sources import source_of
from calibrate.serving.steps import catalog_steps
from simulator.catalog.models import models
from simulator.cli.output import print_table

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers-aiconfigurator" / "bin" / "python"
SR_PYTHON = ROOT / ".venv-peers-sr" / "bin" / "python"
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
SR_HARDWARE = {
    "a100-80": "A100_SXM",
    "h100-sxm": "H100_SXM",
    "h200": "H200_SXM",
    "b200": "B200_SXM",
    "l40s": "L40S",
}
SR_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5, "int4": 0.5}
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
        "row_id": name_of(scored),
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
        kept |= _asked(PYTHON, "run_aiconfigurator.py", new)
        ANSWERS.write_text(json.dumps(kept))
    return kept


def _asked(python: Path, script: str, points: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Answers of a script in a peer's environment; none where the peer is not installed."""
    if not python.exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "points.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(points))
        command = [str(python), str(Path(__file__).with_name(script)), str(asked), str(answered)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        found: dict[str, dict[str, Any]] = json.loads(answered.read_text())
        return found


def sr_sim_point(scored: Scored) -> dict[str, Any] | None:
    """The row as vllm-sr-sim is asked; None where it has no such GPU or format."""
    row = scored.row
    if row.gpu not in SR_HARDWARE or row.dtype not in SR_BYTES or row.pp > 1:
        return None
    return {
        "row_id": name_of(scored),
        "model": row.model,
        "hardware": SR_HARDWARE[row.gpu],
        "isl": row.isl,
        "osl": row.generated_tokens,
        "batch": scored.in_flight,
        "tp": row.tp,
        "weight_bytes": SR_BYTES[row.dtype],
    }


def name_of(scored: Scored) -> str:
    """Place and name of a row."""
    return f"{scored.row.place} {scored.row.row_id}"


def errors(below: list[Scored], found: Mapping[str, Mapping[str, Any]], metric: str) -> list[tuple[str, float, float]]:
    """(model, our error, theirs) of every row that both answer."""
    rows = []
    for one in below:
        answer = found.get(name_of(one), {})
        stat = next((s for s in SCORED[metric] if (metric, s) in one.row.figures), None)
        if metric == "ttft" and "statistic" in source_of(one.row):
            continue
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
    peers: dict[str, Mapping[str, Mapping[str, Any]]] = {
        "aiconfigurator 0.12.0": estimates([asked for one in below if (asked := point(one))]),
        "vllm-sr-sim": _asked(
            SR_PYTHON, "run_sr_sim_points.py", [asked for one in below if (asked := sr_sim_point(one))]
        ),
        "BLIS's coefficients": {name_of(one): found for one in below if (found := blis.answer(one.row))},
    }
    lines = [line for peer, found in peers.items() for line in _lines(peer, below, found)]
    print_table(lines, ("peer", "metric", "model", "rows that both answer", "servecast", "peer"))
    print(f"\n{len(below)} rows below saturation; median / p90 of the absolute error / median signed error")
    for peer, found in peers.items():
        reasons = Counter(answer["reason"] for answer in found.values() if "reason" in answer)
        for reason, count in reasons.most_common(4):
            print(f"{peer}: no answer for {count}: {reason[:150]}")


def _lines(peer: str, below: list[Scored], found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    lines = []
    for metric in ("tpot", "ttft"):
        rows = errors(below, found, metric)
        for name in ("all", *sorted({row[0] for row in rows})) if rows else ():
            chosen = [row for row in rows if name in ("all", row[0])]
            lines.append([peer, metric, name, str(len(chosen)), *(_summary([r[k] for r in chosen]) for k in (1, 2))])
    return lines


def _summary(values: list[float]) -> str:
    ordered = sorted(abs(value) for value in values)
    middle, high = ordered[len(ordered) // 2], ordered[int(0.9 * (len(ordered) - 1))]
    bias = sorted(values)[len(values) // 2]
    return f"{100 * middle:.1f} / {100 * high:.0f} / {100 * bias:+.0f} %"


if __name__ == "__main__":
    main()
