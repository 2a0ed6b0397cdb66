"""What `--check` asks of the errors: the limits that the project sets itself."""

from __future__ import annotations

from typing import Any

LIMITS: tuple[tuple[str, str, str, float], ...] = (
    ("overall", "tpot", "median_abs_error", 0.12),
    ("overall", "tpot", "p90_abs_error", 0.25),
    ("overall", "tpot", "bias", 0.05),
    ("overall", "throughput", "median_abs_error", 0.08),
    ("overall", "ttft", "median_abs_error", 0.25),
    ("saturated", "throughput", "median_abs_error", 0.10),
    ("burst", "throughput", "median_abs_error", 0.10),
)


def missed(result: dict[str, Any]) -> list[str]:
    """Limits that the result misses, in words; what has no rows is not asked."""
    words = []
    for group, metric, part, limit in LIMITS:
        value = result[group].get(metric, {}).get(part)
        if value is not None and abs(value) > limit:
            words.append(f"{group}: {part} of {metric} is {100 * value:.1f} %, asked for are {100 * limit:.0f} %")
    wide = [knee for knee in result["knees"] if abs(knee["measured_step"] - knee["simulated_step"]) > 1]
    words += [f"knee of {knee['series']} is more than one rate off" for knee in wide]
    return words
