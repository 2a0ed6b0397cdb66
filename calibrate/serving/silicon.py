"""The table of vLLM points in aiconfigurator's validation data, in the columns of the other tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from calibrate.serving.names import fits, read_data

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
    fields = [field.strip() for field in cells.get("silicon_data_source", "").split(";")]
    row["source_path"] = fields[0]
    kind = next(e for e in read_data("sources.yaml")["silicon"] if fnmatchcase(fields[0], e["file"]))
    row["dataset"] = kind["dataset"]
    stated = dict(field.split("=", 1) for field in fields if "=" in field)
    row["measured_on"] = stated.get("measured", "")[:10]
    if not kind.get("ep_as_attention_dp"):
        row["dp"] = cells.get("attention_dp_size", "")
    elif any(fits({**cells, **row}, entry["when"]) for entry in read_data("sources.yaml")["attention_ranks"]):
        row["tp"], row["dp"] = "1", row["tp"]
    if cells.get("mode", "agg") != "agg":
        row["engine"] = f"disaggregated {row['engine']}"
    return row
