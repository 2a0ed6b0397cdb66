"""The table of vLLM points in aiconfigurator's validation data, in the columns of the other tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MARK = "silicon_tpot_ms"
_RENAMED = {
    "id": "row_id",
    "model_path": "model",
    "system": "gpu",
    "precision": "dtype",
    "tp_size": "tp",
    "pp_size": "pp",
    "backend": "engine",
    "backend_version": "engine_version",
    "isl": "isl",
    "osl": "osl",
    "silicon_data_source": "notes",
}


def is_silicon(header: Sequence[str]) -> bool:
    """Whether the header is that of aiconfigurator's table."""
    return MARK in header


def as_serving_columns(cells: Mapping[str, str]) -> dict[str, str]:
    """A row of aiconfigurator's table: closed loop. The statistic is not documented and taken as the mean: TTFT grows
    with the number of users as the mean over a run does that begins with all of them at once; a median would not."""
    row = {new: cells.get(old, "") for old, new in _RENAMED.items()}
    row["ttft_mean_ms"] = cells.get("silicon_ttft_ms", "")
    row["tpot_mean_ms"] = cells.get(MARK, "")
    row["concurrency_or_rate"] = cells.get("concurrency", "") or cells.get("batch_size", "")
    row["arrival"] = "closed loop"
    row["ep"] = cells.get("moe_ep_size", "")
    row["dp"] = cells.get("attention_dp_size", "")
    row["dataset"] = "aiconfigurator"
    row["source"] = cells.get("silicon_data_source", "")
    if cells.get("mode", "agg") != "agg":
        row["engine"] = f"disaggregated {row['engine']}"
    return row
