"""The serving section of docs/accuracy.md, generated from the comparison and the catalog's cross-validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from calibrate.sections import write_section
from calibrate.serving.crossval import coverage
from calibrate.serving.names import read_data
from calibrate.serving.report import METRICS, Comparison, as_json, knee_rows
from calibrate.serving.score import BELOW, BURST, SATURATED
from simulator.catalog.expected import error_table
from simulator.catalog.overheads import (
    FIGURES,
    expert_rows,
    family_rows,
    front_end,
    host_rows,
    link_rows,
    overhead_rows,
    penalty_seq_s,
)
from simulator.catalog.quantity import Quantity
from simulator.units import rough

BEGIN = "<!-- serving: begin (servecast verify gpu --write-docs) -->"
END = "<!-- serving: end -->"
TITLE = "# Accuracy\n\nHow far forecasts are from what was measured.\n"
_METHOD = """## Serving: published results of real GPUs

Every row is simulated with the exact scheduler at the source's engine limits and load (open loop with its rate, closed
loop with its concurrency, burst), with as many requests, and the same statistic is compared; errors are
simulated/measured - 1. An open loop is *saturated* when its mean TTFT is above one second and five times that of a
request alone, or less than 93 % of the rate is served in a long run; a closed loop when the KV cache does not hold all
contexts. There TTFT is a place in a queue, so only TPOT and throughput are scored. A closed loop that sends more than
half its requests at once counts as a *burst*. *Left out* means: the overheads were fitted without any row of that model
(GPU, source) and then forecast at most six rows of each of its series; that is the error to expect for a model (GPU,
source) that was never measured. The kernels themselves are measured per GPU and not refitted. *Only compared* are rows
whose source gives a reason not to trust them for that (below, and `not_fitted` in
`calibrate/serving/data/sources.yaml`): they are in no fit and in no error to expect. This section is written by
`servecast verify gpu --data FOLDER --write-docs docs/accuracy.md` with the tables named under *Sources*, of which
`python -m bench.published SOURCE CHECKOUT --out FOLDER` makes three from checkouts of their repositories; `--rows`,
`--format csv` and `--format json` give the error of every row.

Two published runs of the same configuration differ by up to 1 % (TPOT, throughput, mean TTFT), so nothing below 2 % is
real. TTFT of sources that do not say which statistic they give counts in the line of their file alone.
"""
_HELD = """### Stated errors, from other sources

Rows, and the share of them that keeps within the error stated for nine of ten where that error comes from the rows of
all sources but their own (forecasts of the catalog's fit, without rows only compared).
"""
_KNEE = """### The knee

First rate of an open-loop series at which TTFT p50 is twice that of the lowest rate, that is, where it leaves its flat
part. {close} of {all} series have it within one rate of the series.
"""
_SOURCES = """Sources:
[IOG-Foundation/llm-inference-benchmarks](https://github.com/IOG-Foundation/llm-inference-benchmarks),
[gpustack performance lab](https://github.com/gpustack/gpustack), inference-sim/training,
[LLMServingSim](https://github.com/casys-kaist/LLMServingSim), [inference-perf](https://github.com/kubernetes-sigs/inference-perf),
[ML.ENERGY Leaderboard](https://github.com/ml-energy/leaderboard) (v3.0: median time
between tokens where at most a quarter of the steps have a prompt, prompt lengths estimated),
and the vLLM points in [aiconfigurator](https://github.com/ai-dynamo/aiconfigurator) (most from
[InferenceX](https://github.com/InferenceMAX/InferenceMAX); their statistic is not documented, taken as the mean).
"""


def serving_section(comparison: Comparison, spreads: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown of the section.

    Parameters
    ----------
    spreads : results with wider and narrower lengths, by their description
    """
    result = as_json(comparison)
    parts = [
        _METHOD,
        "### In short\n",
        _summary(result),
        f"### Models, GPUs and sources left out\n\nOf the catalog's {error_table().fitted}.\n",
        _cross_validation(),
        _HELD,
        _held(coverage(comparison.lines)),
        "### By GPU, below saturation\n",
        _groups(result["by_gpu"], "GPU"),
        "### By family of models, below saturation\n",
        _groups(result["by_family"], "type in config.json"),
        "### By source, below saturation\n",
        _groups(result["by_dataset"], "source"),
        "### By load level: requests in flight, below saturation\n",
        _groups(result["by_load_level"], "requests in flight"),
        "### Saturated and burst, by source and by model\n",
        _groups(result["saturated_and_burst_by_dataset"], "source"),
        _groups(result["saturated_and_burst_by_model"], "model"),
        _KNEE.format(close=sum(knee.steps_apart <= 1 for knee in comparison.knees), all=len(comparison.knees)),
        _knees(result["knees"]),
        "### What the spread of lengths does\n\nWhere only mean lengths are published (ShareGPT), lengths have the "
        "quantiles of that data set as vLLM's client samples it, scaled to the row's means, and prompts and outputs "
        f"its rank correlation of {read_data('sources.yaml')['lengths']['sharegpt']['rank_correlation']}. A spread is "
        "a power of the ratios to the middle length.\nRows with such lengths:\n",
        _spreads(result, spreads),
        f"### Fitted overheads\n\nOf the catalog's {error_table().fitted}.\n",
        _overheads(),
        "### Largest errors of TPOT\n",
        _worst(result["worst"]),
        "### Rows left out\n",
        _excluded(comparison),
        _SOURCES,
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def write_docs(path: Path, section: str) -> None:
    """Write the serving section of the document at `path`."""
    write_section(path, BEGIN, END, section, TITLE)


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True) + "\n"


def _cells(metrics: Mapping[str, Any]) -> list[str]:
    cells = []
    for metric in METRICS:
        one = metrics.get(metric, {})
        if one.get("rows"):
            median, p90, bias = (100 * one[part] for part in ("median_abs_error", "p90_abs_error", "bias"))
            covered = f", {100 * one['coverage']:.0f} %" if "coverage" in one else ""
            cells.append(f"{median:.1f} / {p90:.0f} / {bias:+.0f} ({one['rows']}{covered})")
        else:
            cells.append("")
    return cells


_ERRORS = [f"{metric} error" for metric in METRICS]
_READING = (
    "Median / p90 of the absolute error / median signed error in %, number of rows, and the share of them that keeps "
    "within the error stated for nine of ten.\n\n"
)


def _summary(result: Mapping[str, Any]) -> str:
    rows = [
        [title, *_cells(result[key])]
        for key, title in (("overall", "below saturation"), ("saturated", "saturated"), ("burst", "burst"))
    ]
    for key, title in (("fitted_sources", "without those only compared"), ("compared_only", "only compared")):
        rows += [[f"{title}, {regime}", *_cells(part)] for regime, part in result[key].items() if part]
    rows += [[f"{name}, below saturation", *_cells(part)] for name, part in result["by_file"].items()]
    return _READING + _table(rows, ["rows", *_ERRORS])


def _cross_validation() -> str:
    table = error_table().cross_validation
    rows = [
        [file, regime, fold, *_cells(metrics)]
        for file, folds in table.items()
        for fold, regimes in folds.items()
        for regime, metrics in regimes.items()
        if metrics
    ]
    return _READING + _table(rows, ["source", "regime", "fit", *_ERRORS])


def _held(found: Mapping[str, Any]) -> str:
    asked = [(regime, metric) for regime in (BELOW, SATURATED, BURST) for metric in ("tpot", "ttft", "throughput")]
    asked = [(regime, metric) for regime, metric in asked if any(metric in one[regime] for one in found.values())]
    rows = [
        [source, *(_of_rows(regimes[regime].get(metric)) for regime, metric in asked)]
        for source, regimes in found.items()
    ]
    return _table(rows, ["source", *(f"{metric}, {regime}" for regime, metric in asked)])


def _of_rows(held: Mapping[str, Any] | None) -> str:
    return f"{100 * held['coverage']:.0f} % of {held['rows']}" if held else ""


def _groups(groups: Mapping[str, Any], title: str) -> str:
    return _table([[name, *_cells(metrics)] for name, metrics in groups.items()], [title, *_ERRORS])


def _knees(knees: Sequence[Mapping[str, Any]]) -> str:
    return _table(knee_rows(knees), ["series", "req/s", "measured", "simulated"])


def _spreads(result: Mapping[str, Any], spreads: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for title, one in spreads.items():
        rows += [
            [f"{title}, {regime}", *_cells(one[key])]
            for key, regime in (("overall", "below saturation"), ("saturated", "saturated"), ("burst", "burst"))
        ]
    return _table(rows, ["lengths", *_ERRORS])


def _overheads() -> str:
    vllm = overhead_rows()
    rows = [[name, *(_range(getattr(row, name)) for row in vllm)] for name in FIGURES]
    text = _table(rows, ["µs", *(f"from vLLM {row.since}" for row in vllm)])
    text += (
        "\nShare of the experts' measured speed (kernels of vLLM 0.24) that an engine reaches, and of their products' "
    )
    text += "where it is another, without and with a tuned configuration for the shape:\n\n" + _experts()
    front, penalty = front_end(), penalty_seq_s()
    text += (
        f"\nThe API process takes {1e3 * front.template_s.value:.1f} ms for each chat by a model's template, "
        f"{1e3 * front.own_s.value:.1f} ms where vLLM renders the format itself ({', '.join(front.own_models)}); a "
        f"repetition penalty adds {1e6 * penalty.value:.0f} µs to each sequence of a step.\n"
    )
    shares = [[row.name, ", ".join(row.gpus), _share(row.compute)] for row in family_rows()]
    text += "\nShare of the kernels' measured compute speed that serving sustains:\n\n"
    text += _table(shares, ["family", "GPUs", "compute"])
    links = ", ".join(f"{'/'.join(row.gpus)}: {_share(row.share)}" for row in link_rows())
    text += f"\nShare of the measured all-reduce bandwidth that machines reach: {links}.\n"
    hosts = ", ".join(f"{'/'.join(row.gpus)}: {row.factor.value:.2g}" for row in host_rows())
    return text + f"\nHost times beside consumer GPUs, as a multiple: {hosts}.\n"


def _experts() -> str:
    formats = list(expert_rows()[0].shares)
    lines: list[tuple[str, Mapping[str, Quantity]]] = []
    for row in expert_rows():
        kinds = ("", row.shares), (", products", row.products), (", tuned products", row.tuned)
        lines += [(f"from vLLM {row.since}{kind}", shares) for kind, shares in kinds if shares]
    rows = [[title, *(_share(of[name]) if name in of else "" for name in formats)] for title, of in lines]
    return _table(rows, ["", *formats])


def _range(quantity: Quantity) -> str:
    value, low, high = (1e6 * (one or 0.0) for one in (quantity.value, quantity.low, quantity.high))
    return f"{rough(value)} ({rough(low)} to {rough(high)})" if quantity.low is not None else rough(value)


def _share(quantity: Quantity) -> str:
    return (
        f"{quantity.value:.2f} ({quantity.low:.2f} to {quantity.high:.2f})" if quantity.low else f"{quantity.value:.2f}"
    )


def _worst(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            r["row_id"][:48],
            r["model"],
            f"{r['gpus']} x {r['gpu']}",
            r["dtype"],
            r["regime"],
            *(f"{1e3 * r[which]:.1f}" for which in ("measured", "simulated")),
            f"{100 * r['error']:+.0f} %",
        ]
        for r in rows
    ]
    return _table(lines, ["row", "model", "GPUs", "weights", "regime", "measured ms", "simulated ms", "error"])


def _excluded(comparison: Comparison) -> str:
    reasons = Counter(one.reason for one in comparison.excluded)
    return _table([[str(count), reason] for reason, count in reasons.most_common()], ["rows", "reason"])
