"""The catalog as rows, for tables: what there is, in which unit, from whom and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

from simulator.catalog.costs import CostEntry, cost_entries
from simulator.catalog.freshness import is_stale
from simulator.catalog.gpus import gpus
from simulator.catalog.grids import Course, grids
from simulator.catalog.models import models
from simulator.catalog.offers import GpuOffer, gpu_offers
from simulator.catalog.precisions import precisions
from simulator.catalog.quantity import UNDATED, Quantity, day_of
from simulator.catalog.servers import server_kinds
from simulator.catalog.sites import sites
from simulator.catalog.tokens import PriceList, TierPrice, TokenPrice, token_offers
from simulator.errors import InputError, unknown_name

Row = dict[str, Any]
_T = TypeVar("_T")


def names(kind: str) -> tuple[str, ...]:
    """Names of one kind of entry, as its look-up function takes them.

    Raises
    ------
    InputError : no such kind
    """
    return tuple(_of_kind(kind, ENTRIES)())


def listing(kind: str) -> list[Row]:
    """One row per entry of a kind, all with the same columns.

    Raises
    ------
    InputError : no such kind
    """
    rows = _of_kind(kind, LISTINGS)()
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def provenance(kind: str, name: str) -> list[Row]:
    """One row per figure of an entry: figure, value, unit, kind, source, url, date.

    Raises
    ------
    InputError : no such kind, or no entry of that name
    """
    entries = _of_kind(kind, ENTRIES)()
    if name not in entries:
        raise InputError(unknown_name(kind, name, entries))
    return list(_figures(entries[name], ""))


def stale(days: float, today: date, kind: str | None = None) -> list[Row]:
    """Figures, of one kind or of all, that were more than `days` old on the day `today`: oldest first, undated ahead.

    Prices of rented GPUs that a later one replaces do not count; a cost figure that others take is listed once.
    """
    kinds = KINDS if kind is None else (kind,)
    rows = [
        {"kind": each, "name": name, "figure": row["figure"], "date": row["date"], "age_days": _age_days(row, today)}
        | {"basis": row["kind"], "source": row["source"]}
        for each in kinds
        for name, entry in _of_kind(each, ENTRIES)().items()
        for row in _figures(entry, "", own=True)
        if is_stale(row["date"], today, days)
    ]
    return sorted(rows, key=lambda row: (day_of(row["date"]), row["kind"], row["name"], row["figure"]))


def _age_days(row: Row, today: date) -> int | None:
    day = day_of(row["date"])
    return None if day == UNDATED else (today - day).days


def _of_kind(kind: str, known: Mapping[str, _T]) -> _T:
    if kind not in known:
        raise InputError(unknown_name("kind of catalog entry", kind, known))
    return known[kind]


def _figures(node: Any, path: str, *, own: bool = False) -> Iterator[Row]:
    """Figures of an entry; with `own` without those that are taken from a cost figure."""
    if own and isinstance(node, Quantity) and node.entry is not None:
        return
    if isinstance(node, Quantity | CostEntry):
        fields = ("value", "unit", "kind", "source", "url", "date", "note")
        yield {"figure": path} | {field: getattr(node, field) for field in fields}
    elif isinstance(node, Course):
        said = {field: getattr(node, field) for field in ("kind", "source", "url", "date", "note")}
        yield {"figure": path, "value": list(node.values), "unit": "of the mean"} | said
    elif isinstance(node, GpuOffer):
        yield {"figure": _sold(node), "value": node.usd_per_instance_hour, "unit": "USD per instance-hour"} | {
            "kind": node.kind,
            "source": node.source,
            "url": node.source_url,
            "date": node.date,
            "note": node.note,
        }
    elif isinstance(node, PriceList):
        lists: list[tuple[str, TokenPrice | TierPrice]] = [("", band) for band in node.bands]
        lists += [(f"{tier} ", band) for tier, bands in node.tiers.items() for band in bands]
        others = {f"{tier} ": found for tier, found in node.tier_sources.items()}
        for tier, band in lists:
            said = {field: getattr(others.get(tier, node), field) for field in ("kind", "source", "url", "date")}
            for what in ("input", "cached_input", "cache_write", "output"):
                if (usd := getattr(band, what)) is not None:
                    above = f" above {band.above_input_tokens} tokens" if len(node.bands) > 1 else ""
                    price = {"figure": f"{tier}{what}{above}", "value": usd, "unit": "USD per 1M tokens"}
                    yield price | said | {"note": node.key}
    elif isinstance(node, BaseModel):
        for field in type(node).model_fields:
            yield from _figures(getattr(node, field), f"{path}.{field}" if path else field, own=own)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _figures(value, f"{path}.{key}" if path else str(key), own=own)
    elif isinstance(node, tuple):
        for value in node:
            yield from _figures(value, path, own=own)


def _sold(offer: GpuOffer) -> str:
    term = f", {offer.term_months} months, {offer.upfront_fraction:.0%} upfront" if offer.term_months else ""
    return f"{offer.instance} ({offer.machine}{term})"


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
            "max_context_tokens": entry.architecture.max_position_embeddings,
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
            "grid": entry.grid,
            "pue": entry.pue.value if entry.pue else None,
            "electricity_usd_per_kwh": entry.electricity.value if entry.electricity else None,
            "egress_usd_per_gb": entry.egress.value if entry.egress else None,
            "storage_usd_per_gb_month": entry.storage.value if entry.storage else None,
            "note": entry.data_classes_note,
        }
        for entry in sites().values()
    ]


def _gpu_offer_rows() -> list[Row]:
    return [
        {"name": o.name} | o.model_dump() | {"usd_per_gpu_hour": round(o.usd_per_gpu_hour, 4)} for o in gpu_offers()
    ]


@lru_cache
def _latest_offers() -> dict[str, tuple[GpuOffer, ...]]:
    """By name, the latest price of each instance."""
    latest = {(o.name, o.instance): o for o in sorted(gpu_offers(), key=lambda offer: day_of(offer.date))}
    found: dict[str, tuple[GpuOffer, ...]] = {}
    for offer in gpu_offers():
        if latest[offer.name, offer.instance] is offer:
            found[offer.name] = (*found.get(offer.name, ()), offer)
    return found


def _server_rows() -> list[Row]:
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "gpu": entry.gpu,
            "gpus": entry.gpus,
            "form": entry.form,
            "capex_usd": entry.capex.value,
            "capex_low_usd": entry.capex.low,
            "capex_high_usd": entry.capex.high,
            "nameplate_kw": entry.nameplate.value,
            "host_kw": entry.host.value,
            "kind": entry.capex.kind,
            "source": entry.capex.source,
            "date": entry.capex.date,
        }
        for entry in server_kinds().values()
    ]


def _grid_rows() -> list[Row]:
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "time_zone": entry.time_zone,
            "co2_kg_per_kwh": entry.annual.value,
            "lowest_hour": round(min(entry.co2_kg_per_kwh), 4),
            "highest_hour": round(max(entry.co2_kg_per_kwh), 4),
            "by_hour": entry.by_hour.kind,
            "source": entry.annual.source,
            "date": entry.annual.date,
        }
        for entry in grids().values()
    ]


def _token_offer_rows() -> list[Row]:
    return [
        {
            "name": entry.id,
            "site": entry.site,
            "above_input_tokens": band.above_input_tokens,
            "input_usd_per_mtok": band.input,
            "cached_input_usd_per_mtok": band.cached_input,
            "cache_write_usd_per_mtok": band.cache_write,
            "output_usd_per_mtok": band.output,
            "service_tiers": ", ".join(entry.prices.tiers),
            "cache_life_s": entry.cache.life.value if entry.cache else None,
            "cache_least_tokens": entry.cache.least.value if entry.cache else None,
            "residency_premium": entry.residency_premium,
            "availability_sla": entry.availability_sla.value if entry.availability_sla else None,
            "ttft_median_s": entry.ttft_median.value,
            "tpot_median_s": entry.tpot_median.value,
            "max_context_tokens": entry.max_context_tokens,
            "retired": entry.retired.date if entry.retired else None,
            "source": entry.prices.source,
            "date": entry.prices.date,
        }
        for entry in token_offers().values()
        for band in entry.tiers
    ]


def _precision_rows() -> list[Row]:
    return [
        {"name": name, "title": entry.title, "weight_bytes": entry.weight_bytes.value, "compute": entry.compute}
        for name, entry in precisions().items()
    ]


def _cost_rows() -> list[Row]:
    return [{"name": entry.id} | entry.model_dump(exclude={"id"}) for entry in cost_entries().values()]


ENTRIES: dict[str, Callable[[], Mapping[str, Any]]] = {
    "gpus": gpus,
    "models": models,
    "servers": server_kinds,
    "sites": sites,
    "grids": grids,
    "gpu_offers": _latest_offers,
    "token_offers": token_offers,
    "precisions": precisions,
    "costs": cost_entries,
}
LISTINGS: dict[str, Callable[[], list[Row]]] = {
    "gpus": _gpu_rows,
    "models": _model_rows,
    "servers": _server_rows,
    "sites": _site_rows,
    "grids": _grid_rows,
    "gpu_offers": _gpu_offer_rows,
    "token_offers": _token_offer_rows,
    "precisions": _precision_rows,
    "costs": _cost_rows,
}
KINDS = tuple(LISTINGS)
