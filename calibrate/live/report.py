"""What a watch found: JSON, a corrected profile, and a scenario's workload section."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ruamel.yaml import YAML

from calibrate.live.drift import Drift
from calibrate.live.load import seen_load
from calibrate.live.window import Observation

_NO_TIME = "sharpness"


def watch_value(observation: Observation, rows: list[dict[str, Any]], drift: Drift) -> dict[str, Any]:
    """Load, comparison, drift and gaps as JSON-ready values."""
    load = seen_load(observation)
    return {
        "duration_s": observation.duration_s,
        "gaps": [{"from": begin, "to": end, "reason": reason} for begin, end, reason in observation.gaps],
        "load": asdict(load),
        "preemptions": observation.counter("preemptions"),
        "kv_usage_max": max(window.kv_usage for window in observation.windows),
        "comparison": rows,
        "drift": {**asdict(drift), "slices": [{**asdict(entry), "ratio": entry.ratio} for entry in drift.slices]},
    }


def corrected_profile(value: Mapping[str, Any], drift: Drift, source: str) -> dict[str, Any]:
    """The profile with its step times scaled by the drift, and with the time per request that the watch showed."""
    coefficients = {
        name: entry if name == _NO_TIME else entry * drift.factor for name, entry in value["coefficients"].items()
    }
    overhead_s = max(value["request_overhead_s"] + (drift.ttft_excess_s or 0.0), 0.0)
    return {
        **value,
        "name": f"{value['name']} (live)",
        "coefficients": coefficients,
        "between_steps_s": value["between_steps_s"] * drift.factor,
        "between_sequence_s": value["between_sequence_s"] * drift.factor,
        "request_overhead_s": overhead_s,
        "correction_from_live": {
            "factor": drift.factor,
            "low": drift.low,
            "high": drift.high,
            "ttft_excess_s": drift.ttft_excess_s,
            "recording": source,
        },
    }


def yaml_text(value: Any) -> str:
    """A value as YAML."""
    text = io.StringIO()
    YAML().dump(value, text)
    return text.getvalue()
