"""The catalog as rows, for tables: what there is, in which unit, from whom and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from simulator.catalog.costs import CostEntry, cost_entries
from simulator.catalog.gpus import gpus
from simulator.catalog.models import models
from simulator.catalog.offers import gpu_offers
from simulator.catalog.precisions import precisions
from simulator.catalog.quantity import Quantity
from simulator.catalog.sites import sites
from simulator.catalog.tokens import token_offers
from simulator.errors import InputError, unknown_name

Row = dict[str, Any]


KINDS = ("gpus", "models", "sites", "gpu_offers", "token_offers", "precisions", "costs")


def names(kind: str) -> tuple[str, ...]:
    """Names of one kind of entry, as its look-up function takes them."""
    return tuple(dict.fromkeys(str(row["name"]) for row in listing(kind)))


def listing(kind: str) -> list[Row]:
    """One row per entry of a kind: `gpus`, `models`, `sites`, `gpu_offers`, `token_offers`, `precisions`, `costs`.

    Raises
    ------
    InputError : no such kind
    """
    if kind not in LISTINGS:
        raise InputError(unknown_name("kind of catalog entry", kind, LISTINGS))
    return LISTINGS[kind]()


def provenance(kind: str, name: str) -> list[Row]:
    """One row per figure of an entry: figure, value, unit, kind, source, url, date."""
    entries = ENTRIES.get(kind)
    if entries is None:
        raise InputError(unknown_name("kind of catalog entry", kind, ENTRIES))
    if name not in entries():
        raise InputError(unknown_name(kind, name, entries()))
    return list(_figures(entries()[name], ""))


def _figures(node: Any, path: str) -> list[Row]:
    if isinstance(node, Quantity | CostEntry):
        fields = ("value", "unit", "kind", "source", "url", "date", "note")
        return [{"figure": path} | {field: getattr(node, field) for field in fields}]
    if isinstance(node, BaseModel):
        node = {field: getattr(node, field) for field in type(node).model_fields}
    if isinstance(node, Mapping):
        return [row for key, value in node.items() for row in _figures(value, f"{path}.{key}" if path else str(key))]
    return []


def _gpu_rows() -> list[Row]:
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "memory_bytes": entry.memory.value,
            "bandwidth_bytes_per_s": entry.bandwidth.value,
            **{f"{precision}_flops": peak.value for precision, peak in entry.peaks.items()},
            "board_power_w": entry.board_power.value,
            "intra_node_bytes_per_s": entry.intra_node.value,
            "inter_node_bytes_per_s": entry.inter_node.value,
            "source": entry.memory.source,
            "date": entry.memory.date,
        }
        for entry in gpus().values()
    ]


def _model_rows() -> list[Row]:
    return [
        {
            "name": entry.name,
            "hf_id": entry.hf_id,
            "aliases": ", ".join(entry.aliases),
            "parameters": entry.total_parameters.value,
            "active_parameters": (entry.active_parameters or entry.total_parameters).value,
            "native_dtype": entry.native_dtype,
            "max_context_tokens": entry.config["max_position_embeddings"],
            "source": entry.config_source.source,
            "date": entry.config_source.date,
        }
        for entry in models().values()
    ]


def _site_rows() -> list[Row]:
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "kind": entry.kind,
            "perimeter": entry.perimeter,
            "region": entry.region,
            "data_classes": ", ".join(entry.data_classes),
            "pue": entry.pue.value if entry.pue else None,
            "electricity_usd_per_kwh": entry.electricity.value if entry.electricity else None,
            "egress_usd_per_gb": entry.egress.value if entry.egress else None,
            "storage_usd_per_gb_month": entry.storage.value if entry.storage else None,
            "note": entry.data_classes_note,
        }
        for entry in sites().values()
    ]


def _gpu_offer_rows() -> list[Row]:
    return [{"name": f"{o.site}/{o.gpu}/{o.tier}"} | o.model_dump() for o in gpu_offers()]


def _token_offer_rows() -> list[Row]:
    return [
        {
            "name": entry.id,
            "site": entry.site,
            "above_input_tokens": tier.above_input_tokens,
            "input_usd_per_mtok": tier.input,
            "cached_input_usd_per_mtok": tier.cached_input,
            "output_usd_per_mtok": tier.output,
            "batch_multiplier": entry.batch_multiplier,
            "residency_premium": entry.residency_premium,
            "availability_sla": entry.availability_sla.value if entry.availability_sla else None,
            "ttft_median_s": entry.ttft_median.value,
            "tpot_median_s": entry.tpot_median.value,
            "max_context_tokens": entry.max_context_tokens,
            "source": entry.price_entry.source,
            "date": entry.price_entry.date,
        }
        for entry in token_offers().values()
        for tier in entry.tiers
    ]


def _precision_rows() -> list[Row]:
    return [
        {"name": name, "title": entry.title, "weight_bytes": entry.weight_bytes.value, "compute": entry.compute}
        for name, entry in precisions().items()
    ]


def _cost_rows() -> list[Row]:
    return [{"name": entry.id} | entry.model_dump(exclude={"id"}) for entry in cost_entries().values()]


ENTRIES: dict[str, Callable[[], Mapping[str, BaseModel]]] = {
    "gpus": gpus,
    "models": models,
    "sites": sites,
    "token_offers": token_offers,
    "precisions": precisions,
    "costs": cost_entries,
}
LISTINGS: dict[str, Callable[[], list[Row]]] = {
    "gpus": _gpu_rows,
    "models": _model_rows,
    "sites": _site_rows,
    "gpu_offers": _gpu_offer_rows,
    "token_offers": _token_offer_rows,
    "precisions": _precision_rows,
    "costs": _cost_rows,
}
