"""What a scenario with every price given says is paid, as rows of `terms.json`; shares no code with the product."""

from __future__ import annotations

import math
from typing import Any

from bills.rows import Row

NAMED = {"reserved_1y": 12, "reserved_3y": 36, "reserved_5y": 60}
KINDS = ("input", "cached_input", "cache_write", "output")


def terms_of(scenario: Row, name: str) -> Row:
    """Of a topology over all months of its study."""
    events = [one for one in scenario["study"].get("events", ()) if one["topology"] == name]
    begins = [1, *(one["from_month"] for one in events)]
    phases = [scenario["topologies"][name]]
    for one in events:
        phases.append(over(phases[-1], one["change"]))
    staged = [
        (first, (begins[k + 1] - 1 if k + 1 < len(begins) else None), phase)
        for k, (first, phase) in enumerate(zip(begins, phases, strict=True))
    ]
    classes = [one["name"] for one in scenario["workload"]["classes"]]
    fees = changing(
        [(first, last, [fee(one, classes) for one in phase.get("fees") or ()]) for first, last, phase in staged]
    )
    fees = paid_once(fees)
    for one in events:
        if one.get("usd_once"):
            row = fee({"name": one["name"], "usd_once": one["usd_once"]}, classes)
            fees.append(row | {"span": {"first": one["from_month"], "last": None}})
    return {
        "topology": name,
        "owned": owned(scenario, staged, events),
        "rented": [offer(scenario, staged, k) for k, pool in enumerate(phases[0].get("pools", ())) if is_rented(pool)],
        "apis": changing([(a, b, [api(scenario, one) for one in p.get("providers", ())]) for a, b, p in staged]),
        "staff": changing([(first, last, staff(scenario, phase)) for first, last, phase in staged]),
        "fees": fees,
        "taxes": changing([(a, b, taxes(scenario, p)) for a, b, p in staged]),
        "discount_rate_per_year": scenario["cost"]["discount_rate"],
        "months": scenario["study"]["months"],
        "jobs_per_month": 0.0,
        "rental_index": [1.0],
        "token_index": [1.0],
    }


def over(old: Any, new: Any) -> Any:
    """A change laid over what was: maps and lists of named things are joined, all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: over(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list) and old and new and all(has_name(x) for x in (*old, *new)):
        rows = {item["name"]: item for item in old}
        for item in new:
            rows[item["name"]] = over(rows.get(item["name"]), item)
        return list(rows.values())
    return new


def has_name(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value


def changing(stages: list[tuple[int, int | None, list[Row]]]) -> list[Row]:
    """Rows with the months that each holds; one that stays as it is holds on."""
    found: list[Row] = []
    for first, last, rows in stages:
        for row in rows:
            before = next((one for one in found if one["span"]["last"] == first - 1 and bare(one) == row), None)
            if before is None:
                found.append(row | {"span": {"first": first, "last": last}})
            else:
                before["span"] = {"first": before["span"]["first"], "last": last}
    return found


def bare(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "span"}


def paid_once(fees: list[Row]) -> list[Row]:
    """A fee of which only other terms change is not paid once again."""
    seen: set[tuple[str, float]] = set()
    rows = []
    for one in fees:
        once = one["name"], one["usd_once"]
        rows.append(one | {"usd_once": 0.0} if once in seen else one)
        seen.add(once)
    return rows


def fee(one: Row, classes: list[str]) -> Row:
    keys = ("usd_once", "usd_per_month", "usd_per_replica_month", "usd_per_gpu_month")
    keys = (*keys, "usd_per_million_requests", "share_of_bill")
    counted = sorted(classes.index(name) for name in one.get("classes") or ())
    return {"name": one["name"], "classes": counted} | {key: one.get(key, 0.0) for key in keys}


def taxes(scenario: Row, topology: Row) -> list[Row]:
    found = topology.get("taxes")
    return [{"categories": []} | one for one in (scenario["cost"].get("taxes", []) if found is None else found)]


def is_rented(pool: Row) -> bool:
    return bool(pool.get("billing", "on_demand") != "owned")


def staff(scenario: Row, topology: Row) -> list[Row]:
    owns = any(not is_rented(pool) for pool in topology.get("pools", ()))
    found = topology.get("staff") or (scenario["cost"]["staff"] if owns else None)
    keys = ("usd_per_fte_year", "base_fte", "fte_per_server", "fte_per_replica")
    return [] if found is None else [{key: found.get(key) or 0.0 for key in keys}]


def owned(scenario: Row, staged: list[tuple[int, int | None, Row]], events: list[Row]) -> list[Row]:
    """One kind of server on one site, whose prices may change; another make takes its place, and it is sold."""
    pools = [pool["name"] for pool in staged[0][2].get("pools", ()) if not is_rented(pool)]
    found: list[Row] = []
    for first, _, phase in staged if pools else ():
        row = site(scenario, phase["servers"][0]) | {"span": {"first": first, "last": None}}
        if found and made_as(found[-1]["server"]) == made_as(row["server"]):
            found[-1]["later"].append(row)
            continue
        if found:
            found[-1]["span"] = {"first": found[-1]["span"]["first"], "last": first - 1}
            shares = [one.get("resale_share") for one in events if one["from_month"] == first]
            found[-1]["sold_share"] = shares[0]
        found.append(row | {"pools": pools, "sold_share": None, "later": []})
    return found


def made_as(kind: Row) -> list[float]:
    return [kind[key] for key in ("gpus", "host_kw", "reserved_kw")]


def site(scenario: Row, said: Row) -> Row:
    cost, overrides = scenario["cost"], scenario["cost"]["overrides"]
    ages = [(years, overrides[f"onprem.residual_fraction.{12 * years}m"]) for years in range(1, 6)]
    if "resale_by_age" in said:
        ages = [(row["age_years"], row["share"]) for row in said["resale_by_age"]]
    tariff = said.get("electricity_by_hour_usd_per_kwh")
    one = said.get("electricity_usd_per_kwh")
    kind = {"gpu_idle_kw": said["gpu_idle_w"] / 1000} | {
        key: said[key]
        for key in (
            *("capex_usd", "network_storage_share", "reserved_kw", "host_kw", "maintenance_share_per_year"),
            *("life_years", "residual_share", "install_usd"),
        )
    }
    place = {
        "usd_per_kw_month": said["space_usd_per_kw_month"],
        "network_usd_per_month": said.get("network_usd_per_month", 0.0),
        "pue": cost["pue"],
        "electricity_usd_per_kwh": tariff or [cost["electricity_usd_per_kwh"] if one is None else one],
        "time_zone": "",
        "co2_kg_per_kwh": [said["co2_kg_per_kwh"]],
        "co2_usd_per_tonne": said.get("co2_usd_per_tonne", cost.get("co2_usd_per_tonne", 0.0)),
    }
    return {
        "site": said["site"],
        "server": kind | {"gpu": "h100-sxm", "gpus": said["gpus_per_server"], "resale_share_by_age": ages},
        "facility": place,
        "spares": said.get("spares"),
        "off_when_empty": said.get("off_when_empty", False),
        "spare_share": overrides["onprem.spare_fraction"],
    }


def offer(scenario: Row, staged: list[tuple[int, int | None, Row]], k: int) -> Row:
    """One pool's instances from the first month on, with a commitment of every length that it ever has."""
    rows = [(first, instances(scenario, phase["pools"][k])) for first, _, phase in staged]
    lengths: dict[int, Row] = {}
    for _, row in rows:
        for one in row["commitments"]:
            lengths.setdefault(one["term_months"], one)
    for _, row in rows:
        sold = {one["term_months"]: one | {"sold": True} for one in row["commitments"]}
        row["commitments"] = [
            sold.get(length) or one | {"sold": False, "instances": None if one["instances"] is None else 0}
            for length, one in lengths.items()
        ]
    base = rows[0][1] | {"span": {"first": 1, "last": None}}
    base["later"] = [one | {"span": {"first": first, "last": None}} for first, one in rows[1:]]
    numbers = [[one["commitments"][i]["instances"] for i in range(len(lengths))] for _, one in rows]
    together = base["tier"].startswith("reserved") and all(None not in row for row in numbers)
    begun: list[list[tuple[int, int]]] = [[] for _ in lengths]
    for month in range(math.ceil(scenario["study"]["months"])):
        now = [n for (first, _), n in zip(rows, numbers, strict=True) if first <= month + 1][-1]
        running = [
            sum(count for start, count in begun[i] if month < start + length) for i, length in enumerate(lengths)
        ]
        for i, wanted in enumerate(now):
            lacks = (wanted or 0) - (sum(running) if together else running[i])
            if wanted and lacks > 0:
                begun[i].append((month, lacks))
    for i, agreed in enumerate(base["commitments"]):
        if all(row[i] is not None for row in numbers):
            agreed["begins"] = begun[i]
    return base


def instances(scenario: Row, pool: Row) -> Row:
    size = pool["gpus_per_instance"]
    hourly = pool.get("price_by_hour_usd_per_gpu_hour") or [pool["price_usd_per_gpu_hour"]]
    billing = pool.get("billing", "on_demand")
    agreed: list[Row] = []
    if billing.startswith("reserved"):
        written = pool.get("commitments")
        if written is None:
            least = pool["autoscaler"]["min"] if "autoscaler" in pool else pool["replicas"]
            written = math.ceil(least * pool["tensor_parallel_size"] / size)
        agreed = [
            {
                "usd_per_instance_hour": hourly[0] * size,
                "term_months": NAMED.get(billing) or pool["term_months"],
                "instances": None if written == "auto" else written,
                "upfront_share": pool["upfront_share"],
                "begins": None,
            }
        ]
        hourly = [pool["on_demand_usd_per_gpu_hour"]]
    elif isinstance(pool.get("commitments"), list):
        agreed = [
            {
                "usd_per_instance_hour": one["price_usd_per_gpu_hour"] * size,
                "term_months": one["term_months"],
                "instances": None if one["instances"] == "auto" else one["instances"],
                "upfront_share": one["upfront_share"],
                "begins": None,
            }
            for one in pool["commitments"]
        ]
    scaler, starts = pool.get("autoscaler"), pool["cold_start"]
    following = scaler and {"early_s": sum(starts.values()), "late_s": scaler["down_window_s"]}
    return {
        "pool": pool["name"],
        "site": pool["site"],
        "tier": billing,
        "gpus_per_instance": size,
        "usd_per_instance_hour": [usd * size for usd in hourly],
        "minimum_s": pool["billing_minimum_s"],
        "granularity_s": pool["billing_granularity_s"],
        "egress_usd_per_gb": pool["egress_usd_per_gb"],
        "egress_bytes_per_output_token": scenario["cost"]["overrides"]["egress.bytes_per_output_token"],
        "storage_gb": pool["storage_gb"],
        "storage_usd_per_gb_month": pool["storage_usd_per_gb_month"],
        "commitments": agreed,
        "following": following,
        "launches": launches(pool),
        "minimum_usd_per_month": pool.get("minimum_usd_per_month", 0.0),
        "volume": volume(pool),
        "credits": credits_said(pool),
    }


def launches(pool: Row) -> Row | None:
    """Windows of office hours, from Monday to Friday."""
    if "schedule" not in pool:
        return None
    (window,) = pool["schedule"]
    begin, end = (3600.0 * int(hour) for hour in window["hours"].split("-"))
    days = [86_400.0 * day for day in range(5)]
    schedule = {
        "windows": [[day + begin, day + end, window["replicas"]] for day in days],
        "outside": pool["replicas"],
        "start_early_s": pool["start_early_s"],
        "cycle_s": 7 * 86_400.0,
    }
    return {"schedule": schedule, "early_s": pool["start_early_s"], "gpus_per_replica": pool["tensor_parallel_size"]}


def api(scenario: Row, said: Row) -> Row:
    bands = []
    for band in said["prices"]:
        usd = {"cached_input": band["input"], "cache_write": band["input"]} | band
        bands.append({"above_tokens": band.get("above_tokens", 0)} | {kind: usd[kind] for kind in KINDS})
    tiers = {}
    for name, tier in said.get("service_tiers", {}).items():
        factor = tier["price_factor"]
        by_kind = factor if isinstance(factor, dict) else dict.fromkeys(KINDS, factor)
        tiers[name] = [band | {kind: band[kind] * by_kind.get(kind, 1.0) for kind in KINDS} for band in bands]
    asked = [cls.get("service_tier", "standard") for cls in scenario["workload"]["classes"]]
    peak, factors = said.get("peak"), []
    if peak:
        spans = [tuple(map(int, hours.split("-"))) for hours in peak["hours"]]
        factors = [peak["factor"] if any(a <= hour < b for a, b in spans) else 1.0 for hour in range(24)]
    scale = said["price_scale"]
    return {
        "provider": said["name"],
        "site": "",
        "prices": [scaled(band, scale) for band in bands],
        "tier_by_class": [name if name in tiers else "" for name in asked],
        "tiers": [{"name": name, "prices": [scaled(band, scale) for band in tiers[name]]} for name in tiers],
        "factor_by_hour": factors,
        "time_zone": "",
        "ahead_h": 0.0,
        "residency_premium": 0.0,
        "bills_failed": said["bills_failed"],
        "fixed_usd_per_month": said["fixed_usd_per_month"],
        "minimum_usd_per_month": said.get("minimum_usd_per_month", 0.0),
        "provisioned_units": said.get("provisioned_units", 0.0),
        "usd_per_unit_hour": said.get("usd_per_unit_hour", 0.0),
        "unit_tokens_per_minute": said.get("tokens_per_minute_per_unit", 0.0),
        "unit_token_weights": weights_said(said.get("limit_weights") or {}),
        "unit_term_months": said.get("term_months", 0),
        "unit_upfront_share": said.get("upfront_share", 0.0),
        "volume": volume(said),
        "credits": credits_said(said),
    }


def weights_said(said: Row) -> list[float]:
    return [1.0, said.get("cached_input", 1.0), 1.0, said.get("output", 1.0)]


def credits_said(said: Row) -> list[Row]:
    return said.get("service_credits") or []


def volume(said: Row) -> Row:
    listed = said.get("volume_prices") or {"steps": []}
    above = [one.get("above_tokens_per_month") or one["above_gpu_hours_per_month"] for one in listed["steps"]]
    factors = [one["price_factor"] for one in listed["steps"]]
    return {
        "steps": [{"above": at, "factor": factor} for at, factor in zip(above, factors, strict=True)],
        "for_all": listed.get("mode", "graduated") != "graduated",
        "free": said.get("free_tokens_per_month", 0.0),
    }


def scaled(band: Row, factor: float) -> Row:
    return band | {kind: band[kind] * factor for kind in KINDS}
