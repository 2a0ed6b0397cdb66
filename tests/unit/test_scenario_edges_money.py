"""Each refusal of prices, contracts and months at its edge, and the neighbour that is taken."""

from __future__ import annotations

import pytest
from scenario_cases import SMALL, Edge, check_edge

RENT, RENTED = "topologies.mixed.pools[burst]", "topologies.mixed.pools[1]"
OWN, OWNED = "topologies.own.pools[base]", "topologies.own.pools[0]"
API, APIS = "topologies.mixed.providers[api]", "topologies.mixed.providers[0]"
DAY = ", ".join(["1"] * 24)
RATE = "currency={{code: EUR, usd_per_unit: 1.1, date: {}, source: bank}}"
SERVERS = "servers=[{{name: a, site: datacentre, gpu: h100-sxm{}}}{}]"
TERM = "{{term_months: {}, instances: 1, price_usd_per_gpu_hour: 1}}"
UNITS = f"{API}.tokens_per_minute_per_unit=1000"
CASES: dict[str, Edge] = {
    "a day of prices beside one": (
        [f"{RENT}.price_by_hour_usd_per_gpu_hour=[{DAY}]", f"{RENT}.price_usd_per_gpu_hour=1"],
        [f"{RENT}.price_by_hour_usd_per_gpu_hour=[{DAY}]"],
        f"{RENTED}.price_by_hour_usd_per_gpu_hour: give one price or 24, not both",
    ),
    "a day of prices of a commitment": (
        [f"{RENT}.price_by_hour_usd_per_gpu_hour=[{DAY}]", f"{RENT}.billing=reserved_1y"],
        [f"{RENT}.price_by_hour_usd_per_gpu_hour=[{DAY}]", f"{RENT}.billing=spot"],
        f"{RENTED}.price_by_hour_usd_per_gpu_hour: needs billing on_demand or spot, not reserved_1y",
    ),
    "a tariff beside a price of electricity": (
        [f"cost.electricity_by_hour_usd_per_kwh=[{DAY}]", "cost.electricity_usd_per_kwh=0.1"],
        [f"cost.electricity_by_hour_usd_per_kwh=[{DAY}]"],
        "cost.electricity_by_hour_usd_per_kwh: give one price or 24, not both",
    ),
    "a tariff of a site beside its price": (
        [SERVERS.format(f", electricity_usd_per_kwh: 0, electricity_by_hour_usd_per_kwh: [{DAY}]", "")],
        [SERVERS.format(f", electricity_by_hour_usd_per_kwh: [{DAY}]", "")],
        "servers[0].electricity_by_hour_usd_per_kwh: give one price or 24, not both",
    ),
    "servers of one site twice": (
        [SERVERS.format("", ", {name: b, site: Datacentre, gpu: H100-SXM}")],
        [SERVERS.format("", ", {name: b, site: datacentre}")],
        "servers[1]: servers of Datacentre are given twice: keep one, or name the gpu of each",
    ),
    "two entries of servers by one name": (
        [SERVERS.format("", ", {name: a, site: datacentre}")],
        [SERVERS.format("", ", {name: b, site: datacentre}")],
        "servers[1].name: is the name of servers[0], too: give each its own (got a)",
    ),
    "an age of resale that does not rise": (
        [SERVERS.format(", resale_by_age: [{age_years: 1, share: 0.5}, {age_years: 1, share: 0.4}]", "")],
        [SERVERS.format(", resale_by_age: [{age_years: 1, share: 0.5}, {age_years: 1.1, share: 0.4}]", "")],
        "servers[0].resale_by_age[1].age_years: must be above the age before (1) (got 1.0)",
    ),
    "the dollar as a currency": (
        ["currency={code: USD, usd_per_unit: 1, date: 2026-01-01, source: bank}"],
        [RATE.format("2026-01-01")],
        "currency.code: amounts are in USD anyway",
    ),
    "an unknown currency": (
        ["currency={code: EUO, usd_per_unit: 1, date: 2026-01-01, source: bank}"],
        [],
        "currency.code: unknown currency 'EUO': did you mean 'EUR'",
    ),
    "a rate of the future": (
        [RATE.format("2999-01-01")],
        [RATE.format("1999-01-01")],
        "currency.date: is in the future: give the day that the rate was read on (got 2999-01-01)",
    ),
    "a rate of no day": ([RATE.format("'2026-02-30'")], [], "currency.date: is no day of the calendar"),
    "a term of an owned pool": (
        [f"{OWN}.term_months=12"],
        [f"{RENT}.term_months=12", f"{RENT}.billing=reserved_1y"],
        f"{OWNED}.term_months: is a term of rented instances, but billing is owned (got 12)",
    ),
    "a term on demand": (
        [f"{RENT}.term_months=12"],
        [f"{RENT}.term_months=12", f"{RENT}.billing=reserved"],
        f"{RENTED}.term_months: needs billing reserved_1y, reserved_3y, reserved_5y or reserved, not on_demand",
    ),
    "another term than its name": (
        [f"{RENT}.term_months=35", f"{RENT}.billing=reserved_3y"],
        [f"{RENT}.term_months=36", f"{RENT}.billing=reserved_3y"],
        f"{RENTED}.term_months: reserved_3y is a term of 36 months: billing reserved takes any other (got 35)",
    ),
    "five years by another name": (
        [f"{RENT}.term_months=59", f"{RENT}.billing=reserved_5y"],
        [f"{RENT}.term_months=60", f"{RENT}.billing=reserved_5y"],
        f"{RENTED}.term_months: reserved_5y is a term of 60 months",
    ),
    "a commitment of no length": (
        [f"{RENT}.billing=reserved"],
        [f"{RENT}.billing=reserved", f"{RENT}.term_months=1"],
        f"{RENTED}.billing: 'term_months' is missing: say how long a commitment is",
    ),
    "two commitments of one term": (
        [f"{RENT}.commitments=[{TERM.format(12)}, {TERM.format(12)}]"],
        [f"{RENT}.commitments=[{TERM.format(12)}, {TERM.format(13)}]"],
        f"{RENTED}.commitments[1].term_months: another commitment has the same term (got 12)",
    ),
    "a list of commitments beside a term": (
        [f"{RENT}.commitments=[{TERM.format(12)}]", f"{RENT}.billing=reserved_1y"],
        [f"{RENT}.commitments=[{TERM.format(12)}]"],
        f"{RENTED}.commitments: a list of them needs billing on_demand, not reserved_1y",
    ),
    "a spend that is agreed beside open commitments": (
        [f"{RENT}.commitments=auto", f"{RENT}.minimum_usd_per_month=1"],
        [f"{RENT}.commitments=auto", f"{RENT}.minimum_usd_per_month=0"],
        f"{RENTED}.minimum_usd_per_month: needs commitments of a number",
    ),
    "the source of no price": (
        [f"{RENT}.price_source=offer"],
        [f"{RENT}.price_source=offer", f"{RENT}.price_usd_per_gpu_hour=0"],
        f"{RENTED}.price_source: is of a price of one's own: 'price_usd_per_gpu_hour' is missing",
    ),
    "the day of no token prices": (
        [f"{API}.price_date=2026-01-01"],
        [f"{API}.price_date=2026-01-01", f"{API}.prices=[{{input: 1, output: 1}}]"],
        f"{APIS}.price_date: is of prices of one's own: 'prices' is missing",
    ),
    "volume that does not rise": (
        [
            f"{RENT}.volume_prices={{steps: [{{above_gpu_hours_per_month: 9, price_factor: 1}}, "
            "{above_gpu_hours_per_month: 9, price_factor: 0.5}]}"
        ],
        [
            f"{RENT}.volume_prices={{steps: [{{above_gpu_hours_per_month: 9, price_factor: 1}}, "
            "{above_gpu_hours_per_month: 9.1, price_factor: 0.5}]}"
        ],
        f"{RENTED}.volume_prices.steps[1].above_gpu_hours_per_month: must be above that of the step before (9)",
    ),
    "credits that fall": (
        [
            f"{RENT}.service_credits=[{{below_availability: 0.99, share_of_bill: 0.2}}, "
            "{below_availability: 0.9, share_of_bill: 0.1}]"
        ],
        [
            f"{RENT}.service_credits=[{{below_availability: 0.99, share_of_bill: 0.2}}, "
            "{below_availability: 0.9, share_of_bill: 0.2}]"
        ],
        f"{RENTED}.service_credits[1].share_of_bill: must not be less than that of the credit before (0.2)",
    ),
    "credits of one availability": (
        [
            f"{API}.service_credits=[{{below_availability: 0.9, share_of_bill: 0.1}}, "
            "{below_availability: 0.9, share_of_bill: 0.2}]"
        ],
        [
            f"{API}.service_credits=[{{below_availability: 0.9, share_of_bill: 0.1}}, "
            "{below_availability: 0.89, share_of_bill: 0.2}]"
        ],
        f"{APIS}.service_credits[1].below_availability: must be below that of the credit before (0.9)",
    ),
    "no price list": (
        [f"{API}.prices=[]"],
        [f"{API}.prices=[{{input: 0, output: 0}}]"],
        f"{APIS}.prices: needs at least one price list",
    ),
    "first prices of long prompts": (
        [f"{API}.prices=[{{above_tokens: 1, input: 1, output: 1}}]"],
        [f"{API}.prices=[{{above_tokens: 0, input: 1, output: 1}}]"],
        f"{APIS}.prices[0].above_tokens: must be 0: the first prices are those of the shortest prompts (got 1)",
    ),
    "prices of one length": (
        [
            f"{API}.prices=[{{input: 1, output: 1}}, {{above_tokens: 9, input: 1, output: 1}}, "
            "{above_tokens: 9, input: 2, output: 1}]"
        ],
        [
            f"{API}.prices=[{{input: 1, output: 1}}, {{above_tokens: 9, input: 1, output: 1}}, "
            "{above_tokens: 10, input: 2, output: 1}]"
        ],
        f"{APIS}.prices[2].above_tokens: must be above that of the prices before (9) (got 9)",
    ),
    "units without a price": (
        [f"{API}.provisioned_units=1"],
        [f"{API}.provisioned_units=1", f"{API}.usd_per_unit_hour=0"],
        f"{APIS}.provisioned_units: 'usd_per_unit_hour' is missing: units without a price",
    ),
    "fewer units than are sold": (
        [f"{API}.provisioned_units=4", f"{API}.usd_per_unit_hour=1", f"{API}.unit_minimum=5"],
        [f"{API}.provisioned_units=5", f"{API}.usd_per_unit_hour=1", f"{API}.unit_minimum=5"],
        f"{APIS}.provisioned_units: must be at least unit_minimum (5) (got 4",
    ),
    "units beside their steps": (
        [f"{API}.provisioned_units=15", f"{API}.usd_per_unit_hour=1", f"{API}.unit_step=10"],
        [f"{API}.provisioned_units=20", f"{API}.usd_per_unit_hour=1", f"{API}.unit_step=10"],
        f"{APIS}.provisioned_units: must be a multiple of unit_step (10) (got 15",
    ),
    "fewest units beside their steps": (
        [f"{API}.provisioned_units=20", f"{API}.usd_per_unit_hour=1", f"{API}.unit_step=10", f"{API}.unit_minimum=15"],
        [f"{API}.provisioned_units=20", f"{API}.usd_per_unit_hour=1", f"{API}.unit_step=10", f"{API}.unit_minimum=20"],
        f"{APIS}.unit_minimum: must be a multiple of unit_step (10) (got 15)",
    ),
    "open units that let through what is not said": (
        [f"{API}.provisioned_units=auto", f"{API}.usd_per_unit_hour=1"],
        [f"{API}.provisioned_units=auto", f"{API}.usd_per_unit_hour=1", UNITS],
        f"{APIS}.provisioned_units: auto needs 'tokens_per_minute_per_unit'",
    ),
    "open units beside a limit": (
        [f"{API}.provisioned_units=auto", f"{API}.usd_per_unit_hour=1", UNITS, f"{API}.tokens_per_minute=9"],
        [f"{API}.provisioned_units=2", f"{API}.usd_per_unit_hour=1", UNITS, f"{API}.tokens_per_minute=9"],
        f"{APIS}.tokens_per_minute: is the limit however many units are bought",
    ),
    "what no unit lets through": (
        [UNITS],
        [UNITS, f"{API}.provisioned_units=2", f"{API}.usd_per_unit_hour=1"],
        f"{APIS}.tokens_per_minute_per_unit: 'provisioned_units' is missing: say how many are bought",
    ),
    "a share of no term": (
        [f"{API}.upfront_share=0.5", f"{API}.provisioned_units=2", f"{API}.usd_per_unit_hour=1"],
        [
            f"{API}.upfront_share=0.5",
            f"{API}.provisioned_units=2",
            f"{API}.usd_per_unit_hour=1",
            f"{API}.term_months=1",
        ],
        f"{APIS}.upfront_share: 'term_months' is missing: say of how long a term",
    ),
    "a weight of answers that are limited by themselves": (
        [f"{API}.limit_weights={{output: 5}}", f"{API}.input_tokens_per_minute=9"],
        [f"{API}.limit_weights={{cached_input: 0}}", f"{API}.input_tokens_per_minute=9"],
        f"{APIS}.limit_weights.output: weighs nothing",
    ),
    "months that are too few": (["study.months=0.09"], ["study.months=0.1"], "study.months: must be at least 0.1"),
    "months that are too many": (["study.months=601"], ["study.months=600"], "study.months: must be at most 600"),
    "a step after the study": (
        ["study={months: 3, load_steps: [{from_month: 4, load: 1}]}"],
        ["study={months: 3.1, load_steps: [{from_month: 4, load: 1}]}"],
        "study.load_steps[0].from_month: begins after the study, which has 3 months",
    ),
    "a load that is not meant": (
        ["study={months: 2, load_steps: [{from_month: 2, load: 1001}]}"],
        ["study={months: 2, load_steps: [{from_month: 2, load: 1000}]}"],
        "study.load_steps: the load of chat in month 2 is above 1,000 times that of the workload",
    ),
    "growth in the last month": (
        ["study={months: 10.1, growth_per_year: 5000}"],
        ["study={months: 10, growth_per_year: 5000}"],
        "study.growth_per_year: the load of chat in month 11 is above 1,000 times that of the workload",
    ),
    "a load of step and period": (
        ["study={months: 2, load_steps: [{from_month: 2, load: 50}], periods: [{name: a, load: 20.1}]}"],
        ["study={months: 2, load_steps: [{from_month: 2, load: 50}], periods: [{name: a, load: 20}]}"],
        "study.load_steps: the load of chat in month 2 is above 1,000 times that of the workload: raise its rate",
    ),
    "nobody in any month": (
        ["study={months: 2, load_steps: [{from_month: 1, load: 0}]}"],
        ["study={months: 2, load_steps: [{from_month: 1, load: 0}, {from_month: 2, load: 1}]}"],
        "study.load_steps: nobody of class chat comes in any month: give one a load above 0",
    ),
    "a step of nothing": (
        ["study.load_steps=[{from_month: 1}]"],
        ["study.load_steps=[{from_month: 1, load_by_class: {chat: 2}}]"],
        "study.load_steps[0]: give the load, of all classes or by class",
    ),
    "periods beside a cut": (
        ["study={cut: {window_h: 0.02}, periods: [{name: a}]}"],
        ["study={cut: {window_h: 0.02}}"],
        "study.cut: give periods or a cut, not both",
    ),
    "more windows than there is time": (
        ["study={cut: {window_h: 0.0209}}"],
        ["study={cut: {window_h: 0.0208}}"],
        "study.cut: run.horizon_s (0.0833333 h) has not as many windows as there are kinds",
    ),
    "windows that the warm-up fills": (
        ["study={cut: {window_h: 0.02}}", "run.warmup_s=72"],
        ["study={cut: {window_h: 0.02}}", "run.warmup_s=71"],
        "study.cut.window_h: the first of these windows is over within the warm-up (run.warmup_s is 72)",
    ),
    "a pool that an event puts nowhere": (
        ["study={months: 2, events: [{name: e, from_month: 2, topology: own, change: {pools: [{name: x, gpu: l4}]}}]}"],
        [
            "study={months: 2, events: [{name: e, from_month: 2, topology: own, "
            "change: {pools: [{name: x, gpu: l4, site: lambda}]}}]}"
        ],
        "study.events[0].change.pools[0]: unknown pool 'x': known are base (in a new one 'site' is missing)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_told_at_its_place_and_its_neighbour_is_taken(name: str) -> None:
    check_edge(SMALL, CASES[name])
