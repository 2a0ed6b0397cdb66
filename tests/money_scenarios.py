"""Random scenarios in which every price is given, with throughput given and short simulated times, and their bills."""

from __future__ import annotations

from random import Random
from typing import Any

from money_contracts import CREDITS, OUTAGE, agreed, taxes, volume
from money_traffic import OFFICE, months, reclaims, routing

from simulator.resolve.topology import plan_topology
from simulator.run.evaluate import Course, served_course
from simulator.run.loads import loads_of
from simulator.run.phases import check_events
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.store import Store
from simulator.size.found import Limits

Row = dict[str, Any]
AGES_MONTHS = (12, 24, 36, 48, 60)


def scenario(random: Random) -> Row:
    """One of owned servers, rented instances, a token API and a hybrid of them, over months with growth and events."""
    topologies = {"own": owned(random), "rent": rented(random), "api": calls(random), "hybrid": hybrid(random)}
    names = random.sample(sorted(topologies), random.randint(1, 2))
    traffic = classes(random)
    study = months(random, [one["name"] for one in traffic])
    changes = [event for name in names for event in events(random, name, topologies[name], study["months"])]
    return {
        "schema_version": 1,
        "name": "money",
        "model": "llama-3.1-8b-instruct",
        "engine": {
            "max_model_len": 8192,
            "enable_prefix_caching": random.random() < 0.5,
            "throughput": {"output_tokens_per_s": 2000, "input_tokens_per_s": 40000, "tpot_s": 0.005},
        },
        "workload": {"classes": traffic},
        "topologies": {name: topologies[name] for name in names},
        "study": study | ({"events": changes} if changes else {}),
        "cost": {
            "draws": 0,
            "discount_rate": random.choice([0.0, 0.05, 0.12]),
            "electricity_usd_per_kwh": random.choice([0.11, 0.3]),
            "pue": 1.2,
            "staff": {"base_fte": 0.5, "fte_per_server": 0.1, "fte_per_replica": 0.05, "usd_per_fte_year": 120_000},
            "taxes": [{"name": "vat", "share": 0.1}] if random.random() < 0.3 else [],
            "overrides": {
                "egress.bytes_per_output_token": 300,
                "onprem.spare_fraction": random.choice([0.0, 0.1, 0.4]),
                **{
                    f"onprem.residual_fraction.{months}m": share
                    for months, share in zip(AGES_MONTHS, (0.7, 0.5, 0.35, 0.2, 0.1), strict=True)
                },
            },
        },
        "run": {
            "horizon_s": 240,
            "warmup_s": random.choice([0, 60]),
            "replications": random.randint(1, 2),
            "seed": random.randint(0, 99),
            "start": random.choice(["mon 00:00", "tue 17:58", "sat 23:57"]),
            "keep_requests": False,
        },
    }


def classes(random: Random) -> list[Row]:
    chat = {
        "name": "chat",
        "arrivals": {"kind": "poisson", "rate_rps": random.choice([0.5, 1.0, 2.0])},
        "lengths": {
            "isl": {"kind": "uniform", "low": 100, "high": 1500},
            "osl": {"kind": "uniform", "low": 5, "high": 80},
        },
        "prefixes": {"groups": 3, "tokens": 80, "share": 0.7},
        "data_class": "public",
        "slo": {"e2e_s": {"p90": 60}},
    }
    other = {
        "name": "other",
        "arrivals": {"kind": "poisson", "rate_rps": 0.3},
        "lengths": {"isl": 400, "osl": 30},
        "data_class": "public",
        "service_tier": random.choice(["standard", "flex", "priority"]),
        "slo": {"e2e_s": {"p90": 90}},
    }
    return random.choice([[chat], [chat, other]])


def by_hour(random: Random, usd: float) -> list[float]:
    return [round(usd * random.choice([0.5, 1.0, 1.5]), 4) for _ in range(24)]


def servers(random: Random) -> Row:
    found = {
        "name": "ours",
        "site": "datacentre",
        "gpus_per_server": random.choice([2, 4, 8]),
        "capex_usd": random.choice([60_000, 250_000]),
        "network_storage_share": random.choice([0.0, 0.15]),
        "host_kw": random.choice([0.5, 2.0]),
        "reserved_kw": random.choice([2.5, 10.0]),
        "maintenance_share_per_year": 0.04,
        "life_years": random.choice([1, 1.5, 3, 5]),
        "residual_share": random.choice([0.0, 0.1]),
        "install_usd": random.choice([0, 4_000]),
        "lead_weeks": 8,
        "space_usd_per_kw_month": random.choice([0, 140]),
    }
    if found["reserved_kw"] == 10.0:
        found["resale_by_age"] = [{"age_years": 0.5, "share": 0.8}, {"age_years": 2, "share": 0.3}]
    if found["host_kw"] == 0.5:
        found["network_usd_per_month"] = 70.0 * found["gpus_per_server"]
    found["co2_kg_per_kwh"] = 0.1 * found["gpus_per_server"]
    if found["space_usd_per_kw_month"]:
        found["co2_usd_per_tonne"] = 90 if found["host_kw"] == 2.0 else 0
    found["gpu_idle_w"] = 15.0 * found["gpus_per_server"]
    if found["install_usd"]:
        found["off_when_empty"] = found["life_years"] == 3
    if random.random() < 0.6:
        found["spares"] = random.randint(0, 2)
    if random.random() < 0.3:
        found["electricity_by_hour_usd_per_kwh"] = by_hour(random, 0.2)
    elif random.random() < 0.3:
        found["electricity_usd_per_kwh"] = 0.25
    return found


def owned_pool(random: Random, name: str) -> Row:
    return {
        "name": name,
        "site": "datacentre",
        "gpu": "h100-sxm",
        "billing": "owned",
        "tensor_parallel_size": random.choice([1, 2]),
        "replicas": random.randint(1, 3),
    }


def people(random: Random) -> Row:
    found: Row = {}
    if random.random() < 0.5:
        found["staff"] = {
            "base_fte": random.choice([0, 0.25]),
            "fte_per_server": 0.05,
            "fte_per_replica": 0.02,
            "usd_per_fte_year": 90_000,
        }
    if random.random() < 0.5:
        found["fees"] = [
            {
                "name": "licence",
                "usd_once": 5_000,
                "usd_per_month": 100,
                "usd_per_replica_month": 40,
                "usd_per_gpu_month": 7,
                "usd_per_million_requests": 90,
            },
            {"name": "support", "share_of_bill": random.choice([0.03, 0.1])},
        ][: random.randint(1, 2)]
        if len(found["fees"]) == 1:
            found["fees"][0]["classes"] = ["chat"]
    if random.random() < 0.4:
        found["taxes"] = taxes(random)
    return found


def owned(random: Random) -> Row:
    pools = [owned_pool(random, "base"), owned_pool(random, "more")][: random.randint(1, 2)]
    return {"servers": [servers(random)], "pools": pools, **people(random)}


def rented_pool(random: Random, name: str = "pool") -> Row:
    price = random.choice([2.0, 3.3])
    found: Row = {
        "name": name,
        "site": "lambda",
        "gpu": "h100-sxm",
        "tensor_parallel_size": random.choice([1, 2]),
        "replicas": random.randint(1, 3),
        "gpus_per_instance": random.choice([2, 4, 8]),
        "billing_minimum_s": random.choice([0, 60, 200]),
        "billing_granularity_s": random.choice([0, 1, 60, 3600]),
        "egress_usd_per_gb": random.choice([0, 0.09]),
        "storage_gb": 120,
        "storage_usd_per_gb_month": random.choice([0, 0.02]),
        "cold_start": {"provision_s": 20, "image_s": 5, "weights_s": 10, "engine_s": 5},
        "reclaims": False,
    }
    kind = random.choice(["on_demand", "by_hour", "spot", "reserved", "reserved_1y", "listed", "listed"])
    if kind == "by_hour":
        found["price_by_hour_usd_per_gpu_hour"] = by_hour(random, price)
    else:
        found["price_usd_per_gpu_hour"] = price
    if kind in ("spot", "reserved", "reserved_1y"):
        found["billing"] = kind
    if kind == "spot" and random.random() < 0.6:
        found |= reclaims(random)
    if kind.startswith("reserved"):
        found["on_demand_usd_per_gpu_hour"] = round(price * 1.4, 3)
        found["upfront_share"] = random.choice([0.0, 0.5, 1.0])
        if kind == "reserved":
            found["term_months"] = random.choice([1, 5, 18])
        if random.random() < 0.6:
            found["commitments"] = random.choice([0, 1, 2, "auto"])
    if kind == "listed":
        found["commitments"] = listed(random, price)
    scaled = random.random()
    if scaled > 0.8:
        found["schedule"] = [{"days": "mon-fri", "hours": OFFICE, "replicas": random.randint(1, 4)}]
        found["start_early_s"] = random.choice([0, 45])
    elif scaled < 0.4:
        found["replicas"] = 1
        found["autoscaler"] = {
            "min": random.randint(1, 2),
            "max": random.randint(2, 4),
            "target_per_replica": random.choice([0.3, 1.0]),
            "down_window_s": random.choice([30, 120]),
        }
    return found | agreed(random, found)


def listed(random: Random, price: float) -> list[Row]:
    """Terms of several lengths, their numbers written or open."""
    return [
        {
            "term_months": term,
            "price_usd_per_gpu_hour": round(price * share, 3),
            "instances": random.choice([0, 1, "auto"]),
            "upfront_share": random.choice([0.0, 0.3]),
        }
        for term, share in random.sample([(1, 0.95), (6, 0.8), (12, 0.6), (36, 0.4)], random.randint(1, 2))
    ]


def rented(random: Random) -> Row:
    return {"pools": [rented_pool(random)], **people(random)}


def provider(random: Random, name: str = "calls") -> Row:
    prices = [{"input": 0.5, "output": 2.0}]
    if random.random() < 0.5:
        prices.append({"above_tokens": 600, "input": 1.0, "output": 3.0})
    for band in prices:
        if random.random() < 0.7:
            band["cached_input"] = round(band["input"] * 0.25, 4)
        if random.random() < 0.4:
            band["cache_write"] = round(band["input"] * 1.25, 4)
    found: Row = {
        "name": name,
        "prices": prices,
        "data_classes": ["public"],
        "ttft_s": {"median": 0.4},
        "tpot_s": {"median": 0.01},
        "price_scale": random.choice([1.0, 0.8]),
        "error_probability": random.choice([0.0, 0.05]),
        "bills_failed": random.choice([True, False]),
        "fixed_usd_per_month": random.choice([0, 500]),
        "cache": {"life_s": random.choice([0, 5, 300]), "least_tokens": random.choice([0, 64]), "step_tokens": 16},
    }
    if random.random() < 0.5:
        factor: Any = random.choice([0.5, {"input": 0.5, "cached_input": 1.0, "output": 0.7}])
        found["service_tiers"] = {"flex": {"price_factor": factor}}
    if random.random() < 0.3:
        found |= {"provisioned_units": 2, "usd_per_unit_hour": 1.5}
        if random.random() < 0.5:
            found["tokens_per_minute_per_unit"] = 500_000
            found["limit_weights"] = {"cached_input": random.choice([0, 0.1, 1]), "output": random.choice([1, 8])}
        if random.random() < 0.5:
            found |= {"term_months": random.choice([1, 5, 12]), "upfront_share": random.choice([0, 0.4])}
    if random.random() < 0.3:
        found["minimum_usd_per_month"] = random.choice([300, 20_000])
    if random.random() < 0.3:
        found["peak"] = {"hours": ["9-12", "18-23"], "factor": 2}
    if random.random() < 0.3:
        found |= volume(random)
    if random.random() < 0.2:
        found |= {"outages": OUTAGE, "service_credits": CREDITS}
    return found


def calls(random: Random) -> Row:
    return {"providers": [provider(random)], **people(random)}


def hybrid(random: Random) -> Row:
    pool = owned_pool(random, "base") if random.random() < 0.5 else rented_pool(random, "base")
    found: Row = {"pools": [pool], "providers": [provider(random)], **people(random)}
    if pool.get("billing") == "owned":
        found["servers"] = [servers(random)]
    found["routing"] = routing(random, "base", "calls")
    return found


def events(random: Random, name: str, topology: Row, length: float) -> list[Row]:
    """Changes of what is paid, of how much there is, and of what stands."""
    last = int(-(-length // 1))
    if last < 3 or random.random() < 0.3:
        return []
    found = []
    for k, month in enumerate(sorted(random.sample(range(2, last + 1), min(random.randint(1, 2), last - 1)))):
        event: Row = {"name": f"change-{k}", "from_month": month, "topology": name, "change": change(random, topology)}
        if random.random() < 0.3:
            event |= {"usd_once": 1_000, "downtime_h": 6}
        if random.random() < 0.3:
            event["resale_share"] = 0.3
        found.append(event)
    return found


def change(random: Random, topology: Row) -> Row:
    choices: list[Row] = [
        {"staff": {"base_fte": 0.7, "usd_per_fte_year": 95_000}},
        {"fees": [{"name": "licence", "usd_once": random.choice([0, 9_000]), "usd_per_month": 60}]},
        {"fees": []},
    ]
    for pool in topology.get("pools", []):
        name = pool["name"]
        if "autoscaler" not in pool:
            choices.append({"pools": [{"name": name, "replicas": random.randint(1, 4)}]})
        if pool.get("billing") == "owned":
            choices += [
                {
                    "servers": [
                        {"name": "ours", "electricity_usd_per_kwh": 0.4, "electricity_by_hour_usd_per_kwh": None}
                    ]
                },
                {"servers": [{"name": "ours", "spares": random.randint(0, 3)}]},
                {"servers": [{"name": "ours", "space_usd_per_kw_month": 80, "network_usd_per_month": 250}]},
                {"servers": [{"name": "ours", "capex_usd": 90_000, "install_usd": 700, "spares": 2}]},
                {"servers": [{"name": "ours", "life_years": 2, "residual_share": 0.2, "network_storage_share": 0.3}]},
                {"servers": [{"name": "ours", "maintenance_share_per_year": 0.07, "capex_usd": 400_000}]},
                {"servers": [{"name": "ours", "gpus_per_server": 8, "capex_usd": 300_000}]},
                {"servers": [{"name": "ours", "host_kw": 1.1, "reserved_kw": 7}]},
                {"servers": [{"name": "ours", "gpu_idle_w": 90, "off_when_empty": True, "co2_usd_per_tonne": 40}]},
            ]
        else:
            if "price_usd_per_gpu_hour" in pool:
                choices.append({"pools": [{"name": name, "price_usd_per_gpu_hour": random.choice([1.5, 4.0])}]})
            choices.append({"pools": [{"name": name, "egress_usd_per_gb": 0.2}]})
            if pool.get("billing") == "reserved":
                choices += [{"pools": [{"name": name, "term_months": term}]} for term in (2, 9)]
            if isinstance(pool.get("commitments"), list):
                choices += [{"pools": [{"name": name, "commitments": listed(random, 2.0)}]} for _ in range(2)]
            if isinstance(pool.get("commitments"), int):
                choices.append({"pools": [{"name": name, "commitments": random.randint(0, 3)}]})
    choices.append({"taxes": [{"name": "levy", "share": 0.07}]})
    for one in topology.get("providers", []):
        choices.append({"providers": [{"name": one["name"], "price_scale": 0.5}]})
        choices.append({"providers": [{"name": one["name"], "fixed_usd_per_month": 900}]})
    return random.choice(choices)


def course(loaded: LoadedScenario, name: str, store: Store | None = None, limits: Limits | None = None) -> Course:
    """The months of a topology and what they cost."""
    check_events(loaded)
    loads, sizer = loads_of(loaded), Sizer(store or Store(), limits)
    found = sizer.answer(loaded, name, loads)
    planned = plan_topology(sizer.sized(loaded, name, loads, found), name)
    return served_course(loaded, loads, planned, sizer, found)


def courses(text: Row) -> dict[str, Course]:
    """Of every topology."""
    loaded, store = load_scenario(text), Store()
    return {name: course(loaded, name, store) for name in text["topologies"]}


def at_prices(text: Any, factor: float, key: str = "") -> Any:
    """The scenario with every price times a factor; shares, powers, terms, factors of a tier and weights stay."""
    if key in ("price_factor", "limit_weights"):
        return text
    if isinstance(text, dict):
        return {name: at_prices(value, factor, str(name)) for name, value in text.items()}
    if isinstance(text, list):
        return [at_prices(value, factor, key) for value in text]
    is_price = "usd" in key or key in ("input", "output", "cached_input", "cache_write")
    if is_price and isinstance(text, int | float):
        return text * factor
    return text
