"""Residuals of the kernel fits as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
