"""Service credits by hand: a share of a month's bill where the provider was up for less than it has promised."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from agreement import agree
from bill_cases import API, fixed, pool, provider, rented
from scenario_cases import chat, written
from terms_cases import refused, resolve

from simulator.bill.credits import credited_share, most_credited
from simulator.bill.focus import Resource, focus_frame
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.bill.unused import unused_share
from simulator.decide.break_even import against
from simulator.decide.costed import Costed
from simulator.run.simulate import simulate
from simulator.study.bill import Bill, MonthUse, PeriodUse
from simulator.study.contract import Credit
from simulator.study.terms import ApiTerms, Commitment, RentedTerms, Terms, TokenPrices
from simulator.study.usage import Usage

HOUR = 3600.0
STEPS = (Credit(0.999, 0.1), Credit(0.99, 0.25), Credit(0.95, 1.0))
PRICES = (TokenPrices(0, 0.15, 0.15, 0.15, 0.6),)
ONE = replace(API, prices=PRICES, credits=STEPS)
GPU = rented(usd=2.0, gpus_per_instance=1, credits=STEPS)


def calls(down_s: float = 0.0) -> Usage:
    """A million prompt tokens an hour: $109.50 a month."""
    return Usage(HOUR, (), (replace(provider([[[10**6, 0, 0, 0]]]), down_s=down_s),), ())


def rent(down_s: float = 0.0) -> Usage:
    """A GPU at $2 an hour: $1,460 a month."""
    stays = fixed(1, HOUR)
    return Usage(HOUR, (replace(pool(gpus=1, stays=stays, end_s=HOUR), zone_down_s=down_s),), ())


def whole(usage: Usage) -> MonthUse:
    return MonthUse((PeriodUse(usage, 730.0),))


def bill(terms: ApiTerms | RentedTerms, *uses: MonthUse) -> Bill:
    kept = {"rented": (terms,)} if isinstance(terms, RentedTerms) else {"apis": (terms,)}
    study = Terms("one", months=float(len(uses)), **kept)  # type: ignore[arg-type]
    agree(study, list(uses))
    return bill_study(study, list(uses))


def usd(terms: ApiTerms | RentedTerms, *uses: MonthUse) -> float:
    return float(total_usd(bill(terms, *uses).lines))


@pytest.mark.parametrize(
    ("down_s", "kept"), [(0.0, 1.0), (3.6, 1.0), (3.7, 0.9), (36.0, 0.9), (37.0, 0.75), (180.0, 0.75), (181.0, 0.0)]
)
def test_of_a_month_that_was_up_for_less_than_promised_a_share_is_given_back(down_s: float, kept: float) -> None:
    """3.6 s of an hour are a thousandth of the month: on the step, not below it."""
    assert usd(ONE, whole(calls(down_s))) == pytest.approx(109.5 * kept)
    assert usd(GPU, whole(rent(down_s))) == pytest.approx(1_460.0 * kept)


def test_a_month_on_a_step_is_not_below_it_by_rounding() -> None:
    """64 thousandths of an hour leave 93.6 %, as floats a little less."""
    assert usd(replace(ONE, credits=(Credit(0.936, 0.5),)), whole(calls(3600.0 * 64 / 1000))) == pytest.approx(109.5)


def test_the_month_is_that_of_all_its_periods() -> None:
    """A day of the month on which it is down for six minutes an hour: a tenth of 24 of 730 hours are 0.33 % of it."""
    found = MonthUse((PeriodUse(calls(360.0), 24.0), PeriodUse(calls(), 706.0)))
    assert usd(ONE, found) == pytest.approx(109.5 * 0.9)


def test_each_replication_is_a_month_of_its_own() -> None:
    """One of two is down for a tenth of its month and costs nothing, the other all: that of their mean would cost 0."""
    parts = [PeriodUse(calls(down_s), 365.0, replication=k) for k, down_s in enumerate((360.0, 0.0))]
    assert usd(ONE, MonthUse(tuple(parts))) == pytest.approx(109.5 / 2)
    assert usd(ONE, MonthUse(tuple(replace(part, replication=0) for part in parts))) == pytest.approx(109.5 * 0.75)
    assert usd(ONE, whole(calls(181.0))) == pytest.approx(0.0)


def test_what_was_paid_before_and_what_a_spend_lacks_are_not_given_back() -> None:
    """A term of $1,095 a month of which 40 % were paid at its start, and one more at $1,460: a tenth of 657 + 1,460."""
    two = Usage(HOUR, (replace(pool(gpus=1, stays=fixed(2, HOUR), end_s=HOUR), zone_down_s=10.0),), ())
    terms = replace(GPU, commitments=(Commitment(1.5, 12, 1, 0.4),))
    assert usd(terms, *[whole(two)] * 12) == pytest.approx(1_095 + 1_460 - 0.1 * (0.6 * 1_095 + 1_460))
    agreed = replace(ONE, minimum_usd_per_month=200.0)
    found = bill(agreed, whole(calls(10.0)))
    assert {line.category: float(line.usd) for line in found.lines} == pytest.approx(
        {"tokens": 109.5, "minimum spend": 90.5, "service credit": -10.95}
    )
    assert float(found.paid_usd.sum()) == pytest.approx(200 - 10.95)


def test_it_is_a_credit_in_the_export() -> None:
    lines = bill(ONE, whole(calls(10.0))).lines
    frame = focus_frame(lines, [Resource("a provider", "us")] * len(lines), "scenario", "topology")
    told = frame.set_index("ServiceName").loc["service credit"]
    assert (told["ChargeCategory"], told["BilledCost"]) == ("Credit", -10.95)
    assert math.isnan(told["ConsumedQuantity"]), "it is empty"
    assert frame["BilledCost"].sum() == pytest.approx(98.55)


def test_what_is_paid_for_nothing_is_a_share_of_what_is_paid_before_credits() -> None:
    """$60 idle and $40 busy of which $30 are given back, with $20 that a spend lacks: 80 of 120, not 80 of 90."""
    lines = [("busy", 40.0), ("idle", 60.0), ("unused", 20.0), ("availability", -30.0)]
    assert unused_share(lines) == pytest.approx(80 / 120)
    assert unused_share([("idle", 60.0), ("availability", -60.0)]) == 1.0
    assert unused_share([("busy", 0.0)]) is None


def test_the_least_bill_has_the_most_credited() -> None:
    most = most_credited(STEPS[:2])
    assert [credited_share(most, ((1.0, up),)) for up in (1.0, 0.97, 0.5)] == [0.25] * 3
    assert most_credited(()) == ()


def test_hours_of_use_are_not_asked_of_it() -> None:
    bills = {credits: bill(replace(GPU, credits=credits), whole(rent())) for credits in ((), STEPS)}
    plain, mine = (
        Costed(
            "one", Terms("one", rented=(replace(GPU, credits=credits),), months=1.0), (), (whole(rent()),), found, ()
        )
        for credits, found in bills.items()
    )
    assert against(plain, plain).hours_per_day is not None
    assert against(mine, plain).hours_per_day is None


def test_a_run_credits_the_outage_that_it_shows(tmp_path: Path) -> None:
    """Down for 12 of 120 s: a quarter of what was paid is given back, in the month as in its replications."""
    plain = (
        "plain: {providers: [{name: p, prices: [{input: 1, output: 1}], ttft_s: {median: 0.3}, tpot_s: {median: 0.01}, "
        "data_classes: [internal], outages: {windows: [{start_s: 60, duration_s: 12}]}}]}"
    )
    credits = "service_credits: [{below_availability: 0.95, share_of_bill: 0.25}], outages"
    credited = plain.replace("plain", "credited").replace("outages", credits)
    text = chat(plain, credited, study="months: 1", tpot_s=1.0, horizon_s=130, replications=2)
    found = simulate(written(tmp_path, text), None).summary["topologies"]
    assert found["credited"]["providers"][0]["availability"] == pytest.approx(1 - 12 / 120)
    usd = {name: one["cost"]["usd_per_month"] for name, one in found.items()}
    assert usd["credited"] == pytest.approx(0.75 * usd["plain"])
    each = [one["usd_per_month"] for one in found["credited"]["replications"]]
    assert sum(each) / 2 == pytest.approx(usd["credited"])


def test_what_is_written_is_what_is_agreed(tmp_path: Path) -> None:
    said = "service_credits: [{below_availability: 0.999, share_of_bill: 0.1}]"
    one = f"{{pools: [{{name: pool, site: lambda, gpu: h100-sxm, {said}}}], providers: [{{name: api, {said}, offer: "
    terms = resolve(tmp_path, one + "together/llama-3.3-70b}]}").terms
    assert terms.rented[0].credits == terms.apis[0].credits == (Credit(0.999, 0.1),)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (((0.99, 0.1), (0.999, 0.2)), "service_credits[1].below_availability: must be below that of the credit before"),
        (((0.99, 0.2), (0.9, 0.1)), "service_credits[1].share_of_bill: must not be less than that"),
        (((1.5, 0.2),), "service_credits[0].below_availability: must be less than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(
    tmp_path: Path, said: tuple[tuple[float, float], ...], told: str
) -> None:
    rows = json.dumps([{"below_availability": below, "share_of_bill": share} for below, share in said])
    assert told in refused(
        tmp_path, f"{{pools: [{{name: pool, site: lambda, gpu: h100-sxm, service_credits: {rows}}}]}}"
    )
