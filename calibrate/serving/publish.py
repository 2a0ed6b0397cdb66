"""Writes what the fit found as catalog data, with provenance."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from calibrate.serving.fit import Fit, Parameter
from simulator.catalog.overheads import (
    FIGURES,
    expert_rows,
    family_rows,
    front_end,
    host_rows,
    link_rows,
    overhead_rows,
)
from simulator.catalog.quantity import DATA
from simulator.results.files import write_text

SERVING_SOURCES = (
    "fitted on published vLLM serving results: IOG-Foundation/llm-inference-benchmarks (Apache-2.0), gpustack "
    "(Apache-2.0), inference-sim/training, LLMServingSim (MIT), kubernetes-sigs/inference-perf (Apache-2.0), vLLM "
    "points of aiconfigurator-core 0.12.0 (Apache-2.0), ML.ENERGY Leaderboard v3 (Apache-2.0)"
)


def write_overheads(result: Fit, parameters: Sequence[Parameter], date: str, folder: Path = DATA) -> None:
    """Write engine_overheads.yaml: fitted values with ranges of one standard deviation."""
    units = {one.name: one.unit for one in parameters}

    def quantity(name: str) -> dict[str, Any]:
        value, spread = result.values[name], result.deviations[name]
        low, high = value * np.exp(-spread), value * np.exp(spread)
        numbers = {key: float(f"{number:.3g}") for key, number in (("value", value), ("low", low), ("high", high))}
        return {"value": numbers["value"], "unit": units[name], "kind": "derived", "low": numbers["low"]} | {
            "high": numbers["high"],
            "from": "serving",
        }

    assumed = {"value": 1.0, "unit": "share", "kind": "estimate", "from": "serving", "note": "no result bears on it"}
    vllm = []
    for row in overhead_rows():
        names = {name: f"{name}.{row.since}" if f"{name}.{row.since}" in units else name for name in FIGURES}
        graphs = {"value": int(row.max_graph_tokens.value), "unit": "tokens", "kind": "sourced", "from": "vllm"}
        figures = {name: quantity(source) for name, source in names.items()}
        vllm.append(
            {"since": row.since, "async_scheduling": row.async_scheduling, **figures} | {"max_graph_tokens": graphs}
        )
    data = {
        "sources": {
            "serving": {"source": SERVING_SOURCES, "date": date},
            "vllm": {
                "source": "vLLM 0.24.0, vllm/config/vllm.py (_set_cudagraph_sizes)",
                "url": "https://github.com/vllm-project/vllm",
                "date": "2026-11-23",
            },
        },
        "vllm": vllm,
        "experts": [
            {
                "since": row.since,
                "shares": {
                    name: quantity(fitted) if (fitted := f"experts.{name}.{row.since}") in units else dict(assumed)
                    for name in row.shares
                },
                **{
                    kind: {name: quantity(f"{kind}.{name}.{row.since}") for name in getattr(row, kind)}
                    for kind in ("products", "tuned")
                    if getattr(row, kind)
                },
            }
            for row in expert_rows()
        ],
        "front_end": {
            "template_s": quantity("template_s"),
            "own_s": quantity("own_s"),
            "own_models": list(front_end().own_models),
        },
        "penalty_seq_s": quantity("penalty_seq_s"),
        "hosts": [{"gpus": list(row.gpus), "factor": quantity("host_factor")} for row in host_rows()],
        "links": [
            {"name": row.name, "gpus": list(row.gpus), "share": quantity(f"links.{row.name}")} for row in link_rows()
        ],
        "families": [
            {
                "name": row.name,
                "gpus": list(row.gpus),
                "compute": quantity(f"compute.{row.name}"),
                **({"eager_layer_s": quantity(f"eager_layer_s.{row.name}")} if row.eager_layer_s else {}),
            }
            for row in family_rows()
        ],
    }
    head = (
        "# What an engine adds to its GPU's time, by the first version that a row holds for, and what a GPU sustains\n"
        "# of its measured kernels in serving (docs/model/step-time.md). Written by `servecast calibrate serving`.\n"
    )
    _write(folder / "engine_overheads.yaml", head, data)


def write_errors(
    groups: Sequence[Mapping[str, Any]], validation: Mapping[str, Any], date: str, folder: Path = DATA
) -> None:
    """Write expected_errors.yaml: errors by group, and the summaries of the cross-validation."""
    data = {
        "basis": {"source": SERVING_SOURCES, "date": date},
        "groups": [_rounded(group, 3) for group in groups],
        "cross_validation": _rounded(validation, 4),
    }
    head = "# Errors to expect of forecasts (docs/accuracy.md). Written by `servecast calibrate serving`.\n"
    _write(folder / "expected_errors.yaml", head, data)


def _rounded(node: Any, digits: int) -> Any:
    if isinstance(node, Mapping):
        return {key: _rounded(value, digits) for key, value in node.items()}
    return float(f"{node:.{digits}g}") if isinstance(node, float) else node


def _write(path: Path, head: str, data: Mapping[str, Any]) -> None:
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 160
    text = io.StringIO()
    yaml.dump(dict(data), text)
    write_text(path, head + text.getvalue())
