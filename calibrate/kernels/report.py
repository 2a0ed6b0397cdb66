"""Residuals of the kernel fits: rows of a table, and the kernels' section of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from calibrate.sections import write_section

BEGIN = "<!-- kernels: begin (servecast calibrate import-kernels --write-docs) -->"
END = "<!-- kernels: end -->"
TITLE = "# Accuracy\n\nHow far forecasts are from what was measured.\n"
FAMILIES = {
    "products 16 bit": ("gemm bf16",),
    "products fp8": ("gemm fp8",),
    "products fp4": ("gemm fp4",),
    "integer products": ("gemm int8", "gemm int4", "gemm w8a16"),
    "prefill attention": ("attention prefill",),
    "decode attention": ("attention decode",),
    "latent attention": ("latent",),
    "experts": ("experts",),
    "element-wise": ("stream",),
    "all-reduce": ("all_reduce",),
    "all-to-all": ("all_to_all",),
}
"""Column of the document → beginnings of the fits' names."""
_METHOD = """## Kernels: fits on measured tables

Each hardware profile holds a handful of physical parameters per kernel, fitted on thousands of measured shapes
({package} {version}, {license}; vLLM {engines}). Errors are modelled/measured - 1 over all
fitted points: median and p90 of the absolute error, weighted by points where a column joins several fits. The tables'
scatter (kernels change with the shape) is in them; a step adds up hundreds of kernels, so its error is smaller.
"""


def residual_rows(profiles: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row per GPU and fitted kernel; one row for a GPU whose kernels were transferred."""
    rows = []
    for name, profile in profiles.items():
        if profile["transferred_from"]:
            rows.append(_row(name, f"all, from {profile['transferred_from']}", "-", "-", "-", "-"))
        for kernel, errors in profile["residuals"].items():
            numbers = (f"{100 * errors[key]:.1f} %" for key in ("median_abs", "p90_abs", "bias"))
            rows.append(_row(name, kernel, f"{errors['points']:,}", *numbers))
    return rows


def _row(gpu: str, kernel: str, points: str, median: str, p90: str, bias: str) -> dict[str, str]:
    return {"GPU": gpu, "kernel": kernel, "points": points, "median error": median, "p90": p90, "bias": bias}


def write_docs(path: Path, profiles: Mapping[str, Any]) -> None:
    """Write the kernels' section of the document at `path`."""
    write_section(path, BEGIN, END, section(profiles), TITLE)


def section(profiles: Mapping[str, Any]) -> str:
    """Markdown of the section: errors by GPU and kernel, and what stands in for what."""
    measured = {name: profile for name, profile in profiles.items() if not profile["transferred_from"]}
    source = next(iter(profiles.values()))["source"]
    engines = sorted({profile["source"]["engine"].removeprefix("vLLM ") for profile in measured.values()})
    method = _METHOD.format(**{**source, "engines": " and ".join(engines)})
    used = {title: starts for title, starts in FAMILIES.items() if any(_cell(p, starts) for p in measured.values())}
    rows = [[name, *(_cell(profile, starts) for starts in used.values())] for name, profile in measured.items()]
    table = tabulate(rows, ["median / p90, %", *used], tablefmt="github", disable_numparse=True)
    return "\n".join([method, table, "\nWhat stands in where no table is:\n", *_stand_ins(profiles)]) + "\n"


def _cell(profile: Mapping[str, Any], starts: tuple[str, ...]) -> str:
    fits = [errors for name, errors in profile["residuals"].items() if name.startswith(starts)]
    points = sum(fit["points"] for fit in fits)
    if not points:
        return ""
    median, p90 = (sum(fit["points"] * fit[key] for fit in fits) / points for key in ("median_abs", "p90_abs"))
    return f"{100 * median:.0f} / {100 * p90:.0f}"


def _stand_ins(profiles: Mapping[str, Any]) -> list[str]:
    owners: dict[str, list[str]] = {}
    for name, profile in profiles.items():
        for kernel, rule in profile["stand_ins"].items():
            owners.setdefault(f"{kernel}: {rule}", []).append(name)
    return [f"- {', '.join(names)}: {rule}" for rule, names in owners.items()]
