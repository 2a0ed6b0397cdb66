"""Published cost studies: where money alone decides, the bill gives what follows from their own inputs.

Inputs and right values are `tests/data/published_tco/cases.yaml`, which cites each source with its date.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from bill_cases import API, FREE, HOUR_S, PLAIN_SERVER, fixed, month, owned, pool, provider, rented, servers

from simulator.bill.cash import payback_months
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.bill.unit import usd_per_million
from simulator.decide.break_even import hours_per_day
from simulator.study.bill import Bill, MonthUse, PeriodUse
from simulator.study.terms import Fee, OwnedSite, ServerKind, Terms, TokenPrices
from simulator.study.usage import Usage

_FILE = Path(__file__).parents[1] / "data" / "published_tco" / "cases.yaml"
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in yaml.safe_load(_FILE.read_text(encoding="utf-8"))}
HOURS = 730.0


def own(server: ServerKind, gpus: int, months: int, running: tuple[Fee, ...] = ()) -> Bill:
    """One server with one replica on all its GPUs; what runs by the hour is a fee by the month."""
    usage = Usage(2 * HOUR_S, (pool(gpus=gpus, stays=fixed(1)),), (), (servers(1, ["pool"], gpus=gpus),))
    site = OwnedSite("here", server, FREE, ("pool",), spares=0)
    return bill_study(Terms("own", owned=(site,), fees=running, months=months), [month(usage)] * months)


def rent(usd_per_hour: float, gpus: int, months: int) -> Bill:
    usage = Usage(2 * HOUR_S, (pool(gpus=gpus, stays=fixed(1)),), ())
    offer = rented(usd=usd_per_hour, gpus_per_instance=gpus)
    return bill_study(Terms("rent", rented=(offer,), months=months), [month(usage)] * months)


def per_million_output(bill: Bill, tokens_per_s: float) -> float:
    usd = usd_per_million(total_usd(bill.lines), tokens_per_s * HOURS * 3600.0)
    assert usd is not None
    return float(usd)


def test_an_h100_server_against_four_prices_of_rent() -> None:
    given, right = CASES["lp2368-h100"]["given"], CASES["lp2368-h100"]["right"]
    server = replace(PLAIN_SERVER, capex_usd=given["server_usd"], life_years=given["life_years"])
    hourly = [given[f"{name}_usd_per_hour"] for name in ("maintenance", "colocation", "power_and_cooling")]
    months = given["life_years"] * 12
    bill = own(server, 8, months, (Fee("running", usd_per_month=sum(hourly) * HOURS),))
    assert total_usd(bill.lines) == pytest.approx(right["owned_usd_per_month"], rel=0.001)
    tokens_per_s = given["output_tokens_per_s"]
    assert per_million_output(bill, tokens_per_s) == pytest.approx(
        right["owned_usd_per_million_output_tokens"], rel=0.001
    )
    for name, price in given["rented_usd_per_hour"].items():
        other = rent(price, 8, months)
        months_used = payback_months(bill, other)
        assert months_used is not None
        assert months_used == pytest.approx(right["break_even_months"][name], rel=0.001)
        assert months_used * HOURS == pytest.approx(right["break_even_hours"][name], rel=0.001)
        if name == "on_demand":
            unit = right["on_demand_usd_per_million_output_tokens"]
            assert per_million_output(other, tokens_per_s) == pytest.approx(unit, rel=0.001)


def test_hours_of_rent_a_day_that_cost_as_much_as_an_h200_server() -> None:
    given, right = CASES["lp2368-h200-hours"]["given"], CASES["lp2368-h200-hours"]["right"]
    server = replace(PLAIN_SERVER, capex_usd=given["server_usd"], life_years=given["life_years"])
    bill = own(server, 8, 60, (Fee("running", usd_per_month=given["owned_running_usd_per_hour"] * HOURS),))
    assert bill.paid_usd.sum() == pytest.approx(right["owned_usd_five_years"], abs=0.01)
    price = given["rented_usd_per_hour"]
    hours = hours_per_day(bill.lines, rent(price, 8, 60).lines)
    assert hours is not None
    assert hours == pytest.approx(right["hours_of_rent_per_day"], rel=0.005)
    assert hours / 24 == pytest.approx(right["share_of_hours"], rel=0.005)
    assert total_usd(bill.lines) == pytest.approx(11_048, abs=1)
    assert total_usd(rent(price, 8, 60).lines) == pytest.approx(61_911, abs=1)


def test_a_rented_gpu_costs_what_was_measured_per_output_token() -> None:
    for card in CASES["cost-meter-8b"]["measured"]:
        bill = rent(card["usd_per_hour"], 1, 1)
        for row in card["rows"]:
            found = per_million_output(bill, row["output_tokens_per_s"])
            assert found == pytest.approx(row["usd_per_million_output_tokens"], rel=0.001)


def test_a_batch_of_20000_requests_and_where_a_rented_gpu_beats_the_api() -> None:
    given, right = CASES["aibrix-batch"]["given"], CASES["aibrix-batch"]["right"]
    job, gpu, api = given["job"], given["rented"], given["api"]
    tokens = np.array([[[job["input_tokens"], 0, 0, job["output_tokens"]]]]) * job["requests"]
    seconds = tokens.sum() / gpu["tokens_per_s"]
    assert seconds / 60 == pytest.approx(right["job_minutes"], rel=0.005)

    def once(usage: Usage, terms: Terms) -> float:
        """USD of the job: of the month in which it runs once."""
        idle = Usage(
            HOUR_S,
            tuple(pool("pool", gpus=1, stays=(), end_s=HOUR_S, output_tokens=0) for _ in usage.pools),
            tuple(provider(np.zeros((1, 1, 4)), found.name) for found in usage.providers),
        )
        hours = usage.end_s / HOUR_S
        use = MonthUse((PeriodUse(usage, hours), PeriodUse(idle, HOURS - hours)))
        return float(total_usd(bill_study(terms, [use]).lines))

    ran = Usage(seconds, (pool(gpus=1, stays=fixed(1, seconds), end_s=seconds),), ())
    offer = rented(usd=gpu["usd_per_hour"], gpus_per_instance=1)
    assert once(ran, Terms("rent", rented=(offer,), months=1)) == pytest.approx(right["job_usd_rented"], rel=0.005)

    def price_list(of: dict[str, float], factor: float) -> tuple[TokenPrices, ...]:
        return (TokenPrices(0, factor * of["input"], factor * of["input"], 0.0, factor * of["output"]),)

    dear = replace(API, prices=price_list(api, api["batch_multiplier"]))
    asked = Usage(HOUR_S, (), (provider(tokens),))
    assert once(asked, Terms("api", apis=(dear,), months=1)) == pytest.approx(right["job_usd_api"], rel=0.005)
    cheap = given["api_cheap"]
    off_peak = replace(API, prices=price_list(cheap, cheap["off_peak_multiplier"]))
    assert once(asked, Terms("api", apis=(off_peak,), months=1)) == pytest.approx(right["job_usd_api_cheap"], rel=0.005)
    month_usd = float(total_usd(rent(gpu["usd_per_hour"], 1, 1).lines))
    around = right["rented_around_the_clock"]
    assert month_usd == pytest.approx(around["usd_per_month"], rel=0.005)
    per_million = right["job_usd_api"] / right["job_tokens_million"]
    assert month_usd / per_million == pytest.approx(around["break_even_million_tokens_per_month"], rel=0.005)
    for name, offered in (("h100", gpu), ("a100", given["rented_a100"])):
        bill = rent(offered["usd_per_hour"], 1, 1)
        usd = usd_per_million(total_usd(bill.lines), 0.9 * offered["tokens_per_s"] * HOURS * 3600)
        assert usd == pytest.approx(right["usd_per_million_tokens_at_90_percent"][name], rel=0.005)


def test_months_until_one_a100_at_work_in_office_hours_has_paid_for_itself() -> None:
    given, right = CASES["pan-llama70b"]["given"], CASES["pan-llama70b"]["right"]
    machine, hours = given["machine"], given["hours_per_month"]
    tokens = given["tokens_per_s"] * 3600
    at_work = replace(
        pool(gpus=1, stays=fixed(1, HOUR_S), end_s=HOUR_S), energy_by_hour_j=np.array([machine["kw"] * 3.6e6])
    )
    off = replace(at_work, energy_by_hour_j=np.zeros(1), output_tokens=0)
    there = servers(1, ["pool"], HOUR_S, gpus=1)
    use = MonthUse(
        (
            PeriodUse(Usage(HOUR_S, (at_work,), (), (there,)), hours),
            PeriodUse(Usage(HOUR_S, (off,), (), (there,)), HOURS - hours),
        )
    )
    kind = replace(PLAIN_SERVER, gpus=1, capex_usd=machine["usd"], life_years=5.0)
    place = replace(FREE, electricity_usd_per_kwh=(given["electricity_usd_per_kwh"],))
    terms = Terms("own", owned=(owned(server=kind, facility=place),), months=60)
    mine = bill_study(terms, [use] * 60)
    assert mine.upfront_usd == right["capex_usd"]
    power = [line.usd for line in mine.lines if line.category == "electricity"]
    assert sum(power) == pytest.approx(right["electricity_usd_per_month"], rel=0.005)
    table = np.array([[[tokens // 3, 0, 0, tokens - tokens // 3]]])
    nothing = Usage(HOUR_S, (), (provider(np.zeros((1, 1, 4))),))
    asked = MonthUse((PeriodUse(Usage(HOUR_S, (), (provider(table),)), hours), PeriodUse(nothing, HOURS - hours)))
    for name, (price_in, price_out) in given["api"].items():
        api = replace(API, prices=(TokenPrices(0, price_in, price_in, 0.0, price_out),))
        rival = bill_study(Terms("api", apis=(api,), months=60), [asked] * 60)
        assert total_usd(rival.lines) == pytest.approx(right["api_usd_per_month"][name], rel=0.005)
        assert payback_months(mine, rival) == pytest.approx(right["break_even_months"][name], rel=0.005)
