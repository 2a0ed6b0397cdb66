"""Taxes that cannot be deducted, by hand: a share of the lines that they are on, and of what is paid for these."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agreement import agree
from bill_cases import API, FREE, HOUR_S, PLAIN_SERVER, fixed, month, owned, pool, provider, rented, servers
from terms_cases import RUN, TEXT, refused, resolve

from simulator.bill.focus import Resource, focus_frame
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.decide.break_even import against
from simulator.decide.costed import Costed
from simulator.resolve.idle_terms import idle_warnings
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.study.bill import Bill, MonthUse
from simulator.study.contract import Credit
from simulator.study.terms import Commitment, Fee, Span, Staff, Tax, Terms, TokenPrices
from simulator.study.usage import Usage

CALLS = replace(API, prices=(TokenPrices(0, 0.15, 0.15, 0.15, 0.6),))
VAT = Tax("vat", 0.2)
RENT = rented(usd=2.0, gpus_per_instance=1)


def calls() -> MonthUse:
    """A million prompt tokens an hour: $109.50 a month."""
    return month(Usage(HOUR_S, (), (provider([[[10**6, 0, 0, 0]]]),), ()))


def gpus(count: int = 1) -> MonthUse:
    """GPUs at $2 an hour: $1,460 a month each."""
    return month(Usage(HOUR_S, (pool(gpus=1, stays=fixed(count, HOUR_S), end_s=HOUR_S),), ()))


def own() -> MonthUse:
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(1)),), (), (servers(1, ["pool"]),))
    return month(usage)


def bill(use: MonthUse, months: float = 1.0, **terms: Any) -> Bill:
    whole = Terms("all", months=months, **terms)
    uses = [use] * int(-(-months // 1))
    agree(whole, uses)
    return bill_study(whole, uses)


def taxed(found: Bill) -> dict[str, float]:
    return {line.part: float(line.usd) for line in found.lines if line.category == "vat"}


def test_it_is_a_line_of_its_own_beside_all_others() -> None:
    """Of $109.50 of tokens, $90 of staff and a fee of a tenth of both, 20 %: $43.89."""
    staff, fee = Staff(usd_per_fte_year=1_080.0, base_fte=1.0), Fee("support", share_of_bill=0.1)
    found = bill(calls(), apis=(CALLS,), staff=(staff,), fees=(fee,), taxes=(VAT,))
    assert taxed(found) == pytest.approx({"by use": 0.2 * (109.5 + 19.95), "by month": 18.0})
    assert float(total_usd(found.lines)) == pytest.approx(1.2 * 1.1 * (109.5 + 90))
    assert float(found.paid_usd.sum()) == pytest.approx(1.2 * 1.1 * (109.5 + 90))
    named = bill(calls(), apis=(CALLS,), staff=(staff,), fees=(fee,), taxes=(replace(VAT, categories=("tokens",)),))
    assert taxed(named) == pytest.approx({"by use": 21.9})
    support = bill(calls(), apis=(CALLS,), staff=(staff,), fees=(fee,), taxes=(replace(VAT, categories=("support",)),))
    assert taxed(support) == pytest.approx({"by use": 0.2 * 19.95})


def test_two_taxes_are_on_the_same_and_not_on_each_other() -> None:
    found = bill(calls(), apis=(CALLS,), taxes=(VAT, Tax("levy", 0.1)))
    assert float(total_usd(found.lines)) == pytest.approx(1.3 * 109.5)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_hardware_is_paid_with_its_tax_when_it_is_bought_and_sold(share: float) -> None:
    """A server of $250,000 that brings a quarter after three years of four: 62,500 of it; a fifth more of each."""
    kind = replace(PLAIN_SERVER, capex_usd=250_000.0, life_years=4.0, resale_share_by_age=((3.0, 0.25),))
    tax = replace(VAT, share=share, categories=("hardware",))
    found = bill(own(), 36.0, owned=(owned(server=kind, facility=FREE),), taxes=(tax,))
    once = {float(at): float(usd) for at, usd in zip(found.at_months, found.once_usd, strict=True) if usd}
    assert once == pytest.approx({0.0: 250_000 * (1 + share), 36.0: -62_500 * (1 + share)})
    assert float(found.capex_usd) == pytest.approx(250_000 * (1 + share))
    hardware = sum(float(line.usd) for line in found.lines if line.category == "hardware")
    assert taxed(found) == pytest.approx({"on what is bought": share * hardware} if share else {})


def test_a_term_is_paid_and_owed_with_its_tax() -> None:
    """A year at $1,095 a month, 40 % of it at its start, in a study of six months: a fifth more of all of that."""
    terms = replace(RENT, commitments=(Commitment(1.5, 12, 1, 0.4),))
    tax = replace(VAT, categories=("committed",))
    found = bill(gpus(2), 6.0, rented=(terms,), taxes=(tax,))
    assert float(found.once_usd[0]) == pytest.approx(1.2 * 0.4 * 12 * 1_095)
    assert found.months[-1].liability_usd == pytest.approx(1.2 * 0.6 * 6 * 1_095)
    assert float(found.paid_usd.sum()) == pytest.approx(1.2 * 12 * 1_095 + 6 * 1_460)
    assert taxed(found) == pytest.approx({"on commitments": 0.2 * 2 * 1_095})


def test_hardware_and_fees_have_the_tax_of_the_month_in_which_they_are_paid() -> None:
    """It comes in month 2: the server and the fee of month 1 have none, the sale and the fee of month 3 a fifth."""
    kind = replace(PLAIN_SERVER, capex_usd=250_000.0, life_years=4.0, resale_share_by_age=((3.0, 0.25),))
    fees = Fee("move", usd_once=1_000.0), Fee("change", usd_once=500.0, span=Span(3))
    found = bill(
        own(), 36.0, owned=(owned(server=kind, facility=FREE),), fees=fees, taxes=(replace(VAT, span=Span(2)),)
    )
    once = {float(at): float(usd) for at, usd in zip(found.at_months, found.once_usd, strict=True) if usd}
    assert once == pytest.approx({0.0: 251_000.0, 2.0: 600.0, 36.0: -75_000.0})


def test_what_was_paid_before_is_not_billed_with_its_tax() -> None:
    kind = replace(PLAIN_SERVER, capex_usd=250_000.0)
    lines = bill(own(), owned=(owned(server=kind, facility=FREE),), taxes=(VAT,)).lines
    frame = focus_frame(lines, [Resource("a provider", "us")] * len(lines), "scenario", "topology")
    told = frame[frame["ServiceName"] == "vat"].set_index("ChargeDescription")
    bought = told.loc["vat: on what is bought"]
    assert (bought["BilledCost"], bought["EffectiveCost"] > 0) == (0.0, True)


def test_a_tax_that_comes_later_is_on_what_is_paid_from_then_on() -> None:
    """$1,460 a month, a fifth more from month 3 on; a term that begins in month 1 keeps having none."""
    terms = replace(RENT, commitments=(Commitment(1.5, 4, 1),))
    found = bill(gpus(2), 4.0, rented=(terms,), taxes=(replace(VAT, categories=("on demand",), span=Span(3)),))
    assert [float(total_usd(one.lines)) for one in found.months] == pytest.approx([2_555.0, 2_555.0, 2_847.0, 2_847.0])
    late = bill(gpus(2), 4.0, rented=(terms,), taxes=(replace(VAT, span=Span(3)),))
    assert late.paid_usd.tolist() == pytest.approx([0.0, 2_555.0, 2_555.0, 2_847.0, 2_847.0])


def costed(name: str, usd: float, taxes: tuple[Tax, ...] = (), committed: tuple[Commitment, ...] = ()) -> Costed:
    offer = rented(usd=usd, gpus_per_instance=1, commitments=committed)
    terms = Terms(name, rented=(offer,), months=1.0, taxes=taxes)
    return Costed(name, terms, (), (gpus(),), bill_study(terms, [gpus()]), ())


@pytest.mark.parametrize(
    ("taxes", "hours"), [((), 16.0), ((VAT,), 19.2), ((replace(VAT, categories=("tokens",)),), 16.0)]
)
def test_hours_of_use_know_of_it(taxes: tuple[Tax, ...], hours: float) -> None:
    """$2 under commitment beside $3 for the hours of use: 16 hours a day; with a fifth more on the first 19.2."""
    term = (Commitment(2.0, 1, 1),)
    assert against(costed("mine", 3.0, taxes, term), costed("rival", 3.0)).hours_per_day == pytest.approx(hours)
    changes = tuple(replace(tax, span=Span(1, 1)) for tax in taxes)
    assert not changes or against(costed("mine", 3.0, changes, term), costed("rival", 3.0)).hours_per_day is None


def test_it_is_a_tax_in_the_export() -> None:
    lines = bill(calls(), apis=(CALLS,), taxes=(VAT,)).lines
    frame = focus_frame(lines, [Resource("a provider", "us")] * len(lines), "scenario", "topology")
    told = frame.set_index("ServiceName").loc["vat"]
    assert (told["ChargeCategory"], told["BilledCost"], told["ServiceCategory"]) == ("Tax", 21.9, "Other")
    assert told[["PricingQuantity", "PricingUnit", "PricingCategory", "ConsumedQuantity"]].isna().all()


POOL = "pools: [{name: pool, site: lambda, gpu: h100-sxm}]"
SHARED = "cost: {taxes: [{name: vat, share: 0.19, categories: [on demand, staff]}]}\n"


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ("", (Tax("vat", 0.19, ("on demand", "staff")),)),
        (", taxes: [{name: levy, share: 0.02}]", (Tax("levy", 0.02),)),
        (", taxes: []", ()),
    ],
)
def test_a_topology_has_its_own_taxes_or_those_of_all(tmp_path: Path, own: str, found: tuple[Tax, ...]) -> None:
    file = tmp_path / "taxed.yaml"
    file.write_text(TEXT + SHARED + f"topologies:\n  one: {{{POOL}{own}}}\n" + RUN)
    (planned,) = plan_topologies(load_scenario(file))
    assert resolve_terms(planned).terms.taxes == found


@pytest.mark.parametrize(
    ("taxes", "told"),
    [
        (
            "[{name: vat, share: 0.1, categories: [hardwear]}]",
            "taxes[0].categories[0]: unknown line of a bill 'hardwear'",
        ),
        ("[{name: vat, share: 0.1}, {name: vat, share: 0.2}]", "taxes[1].name: is the name of"),
        ("[{name: vat, share: 1.9}]", "taxes[0].share: must be less than or equal to 1"),
        ("[{name: vat, share: 0.1, categories: []}]", "taxes[0].categories"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(tmp_path: Path, taxes: str, told: str) -> None:
    assert told in refused(tmp_path, f"{{{POOL}, taxes: {taxes}}}")


def test_a_tax_is_not_called_as_a_fee(tmp_path: Path) -> None:
    both = "fees: [{name: vat, usd_per_month: 5}], taxes: [{name: vat, share: 0.1}]"
    assert "taxes[0].name: is the name of a fee, too" in refused(tmp_path, f"{{{POOL}, {both}}}")


@pytest.mark.parametrize("category", ["licence", "tokens"])
def test_the_name_of_a_fee_is_that_of_its_lines(tmp_path: Path, category: str) -> None:
    file = tmp_path / "taxed.yaml"
    cost = f"cost: {{taxes: [{{name: vat, share: 0.19, categories: [{category}]}}]}}\n"
    fee = ", fees: [{name: licence, usd_per_month: 5}]"
    file.write_text(TEXT + cost + f"topologies:\n  one: {{{POOL}{fee}}}\n" + RUN)
    (planned,) = plan_topologies(load_scenario(file))
    assert resolve_terms(planned).terms.taxes[0].categories == (category,)


@pytest.mark.parametrize(
    ("fee", "category", "told"),
    [
        ("electricity", "electricity", "call that otherwise, as 'electricity fee'"),
        ("installation", "hardware", "call that otherwise, as 'installation fee'"),
        ("installation", "installation", "call that otherwise, as 'installation fee'"),
        ("carbon", "carbon", "call that otherwise, as 'carbon fee'"),
    ],
)
def test_a_tax_does_not_mean_a_fee_and_a_line_of_one_name(tmp_path: Path, fee: str, category: str, told: str) -> None:
    fees = f"fees: [{{name: {fee}, usd_per_month: 5}}]"
    named = f"{{{POOL}, {fees}, taxes: [{{name: vat, share: 0.1, categories: [staff, {category}]}}]}}"
    assert f"taxes[0].categories[1]: is a line of the bill, and the fee {fee} is taxed as such: {told}" in refused(
        tmp_path, named
    )
    beside = f"{{{POOL}, {fees}, taxes: [{{name: vat, share: 0.1, categories: [on demand]}}, {{name: b, share: 0.1}}]}}"
    assert [one.name for one in resolve(tmp_path, beside).terms.fees] == [fee]


def test_the_cost_of_an_event_has_no_name_of_a_taxed_line(tmp_path: Path) -> None:
    event = "study: {months: 3, events: [{name: staff, from_month: 2, topology: one, usd_once: 9, change: {fees: []}}]}"
    taxes = "cost: {{taxes: [{{name: vat, share: 0.1, categories: [{}]}}]}}"
    told = "study.events[0].name: its cost would be taxed as the line staff of the bill: call it otherwise"
    assert told in refused(tmp_path, f"{{{POOL}}}", event, taxes.format("staff"))
    assert resolve(tmp_path, f"{{{POOL}}}", event, taxes.format("on demand"))


CREDITED = f"{POOL[:-2]}, service_credits: [{{below_availability: 0.99, share_of_bill: 0.1}}]}}]".replace(
    "lambda", "aws-us-east"
)


def test_a_tax_on_credits_alone_would_fall_as_prices_rise(tmp_path: Path) -> None:
    """Of tokens that are all given back, a fifth on the credit alone is $21.90 less than nothing, on both nothing."""
    away = replace(CALLS, credits=(Credit(2.0, 1.0),))
    for categories, usd in ((("service credit",), -21.9), (("tokens", "service credit"), 0.0), ((), 0.0)):
        found = bill(calls(), apis=(away,), taxes=(replace(VAT, categories=categories),))
        assert float(total_usd(found.lines)) == pytest.approx(usd)
    told = "taxes[0].categories: vat is on credits of one, so it must be on what they are given on: name"
    for categories, missing in (
        ("service credit", "egress, on demand, storage"),
        ("service credit, egress", "on demand"),
    ):
        taxes = f"taxes: [{{name: vat, share: 0.2, categories: [{categories}]}}]"
        assert f"{told} {missing}" in refused(tmp_path, f"{{{CREDITED}, {taxes}}}")
    whole = "categories: [service credit, on demand, egress, storage]"
    for taxes in (f"{{name: vat, share: 0.2, {whole}}}", "{name: vat, share: 0.2}"):
        assert resolve(tmp_path, f"{{{CREDITED}, taxes: [{taxes}]}}").terms.taxes


OFFER = "providers: [{name: calls, offer: openai/gpt-4o-mini}]"
OWN = "pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]"


@pytest.mark.parametrize(
    ("cost", "topologies", "told"),
    [
        ("[{name: vat, share: 0.1, categories: [tokens]}]", {"one": POOL, "two": OFFER}, []),
        (
            "[{name: vat, share: 0.1, categories: [on demand, hardware]}]",
            {"one": POOL, "two": OFFER},
            ["cost.taxes[0].categories[1]: vat is on hardware; one and two have no such line"],
        ),
        ("[{name: vat, share: 0.1}]", {"one": OFFER}, []),
        (
            "[]",
            {"one": f"{OFFER}, taxes: [{{name: vat, share: 0.1, categories: [staff, flat fee]}}]"},
            ["topologies.one.taxes[0].categories[0]: vat is on staff; one has no such line"],
        ),
        (
            "[{name: vat, share: 0.1}]",
            {"one": f"{OFFER}, taxes: []"},
            ["cost.taxes: without effect, as each topology has taxes of its own"],
        ),
        ("[{name: vat, share: 0.1, categories: [hardware, space, electricity, staff]}]", {"one": OWN}, []),
        (
            "[]",
            {"one": f"{OFFER}, fees: [{{name: licence, usd_per_month: 5, usd_per_gpu_month: 7}}]"},
            ["topologies.one.fees[0].usd_per_gpu_month: without effect, as one has no pool of GPUs"],
        ),
        (
            "[]",
            {"one": f"{POOL}, staff: {{base_fte: 1, fte_per_server: 0.1, fte_per_replica: 0.1}}"},
            ["topologies.one.staff.fte_per_server: without effect, as one owns no servers"],
        ),
    ],
)
def test_what_is_on_nothing_is_said_at_its_place(
    tmp_path: Path, cost: str, topologies: dict[str, str], told: list[str]
) -> None:
    file = tmp_path / "taxed.yaml"
    lines = "".join(f"  {name}: {{{text}}}\n" for name, text in topologies.items())
    file.write_text(TEXT.replace("internal", "public") + f"cost: {{taxes: {cost}}}\ntopologies:\n{lines}" + RUN)
    loaded = load_scenario(file)
    found = {one.name: resolve_terms(one) for one in plan_topologies(loaded)}
    assert idle_warnings(loaded.scenario, found) == told


def test_tokens_of_a_tier_have_a_name_of_their_own(tmp_path: Path) -> None:
    """Of a class that is served in batches alone: a tax on tokens is not on these."""
    api = f"{OFFER}, taxes: [{{name: vat, share: 0.1, categories: [tokens]}}]"
    file = tmp_path / "taxed.yaml"
    only_batch = TEXT[: TEXT.index("    - name: chat")] + TEXT[TEXT.index("    - name: night") :]
    file.write_text(only_batch + "      data_class: public\n" + f"topologies:\n  one: {{{api}}}\n" + RUN)
    loaded = load_scenario(file)
    found = {one.name: resolve_terms(one) for one in plan_topologies(loaded)}
    (said,) = idle_warnings(loaded.scenario, found)
    assert said == ("topologies.one.taxes[0].categories[0]: vat is on tokens; one has no such line, but batch tokens")
