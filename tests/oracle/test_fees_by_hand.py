"""What a token API is paid beside its tokens, and licences, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from agreement import agree, second_bill
from bill_cases import API, FREE, PLAIN_SERVER, fixed, month, owned, pool, provider, rented, servers
from scenario_cases import chat, written

from simulator.bill.category import usd_by_category
from simulator.bill.study import bill_study, study_usd_per_month
from simulator.bill.sums import total_usd
from simulator.decide.break_even import against
from simulator.decide.costed import Costed
from simulator.decide.flips import ASSUMPTIONS
from simulator.decide.price_flips import price_flips
from simulator.errors import InputError
from simulator.run.simulate import simulate
from simulator.study.bill import Bill, MonthUse
from simulator.study.decision import Walked
from simulator.study.terms import ApiTerms, Fee, Terms
from simulator.study.usage import Stay, Usage

HOUR = 3600.0
UNITS = replace(API, prices=(replace(API.prices[0], input=0.0, cached_input=0.0, output=0.0),), provisioned_units=10.0)


def use(prompts: int = 1_000_000, answers: int = 0) -> MonthUse:
    """An hour of so many tokens, 730 times as many a month."""
    return month(Usage(HOUR, (), (provider([[[prompts, 0, 0, answers]]]),), ()))


def bill(api: ApiTerms, months: list[MonthUse], **more: Any) -> Bill:
    terms = Terms("api", apis=(api,), months=float(len(months)), **more)
    agree(terms, months)
    return bill_study(terms, months)


@pytest.mark.parametrize(
    ("term_months", "usd"),
    [(0, 14_600 * (1.1 + 1.21) / 2), (1, 14_600 * (1.0 + 1.1) / 2), (2, 14_600.0), (12, 14_600.0 * 6)],
)
def test_units_are_bought_at_the_price_of_their_month(term_months: int, usd: float) -> None:
    """Ten at $2 for 730 hours are $14,600 at today's price, which rises by a tenth a month; a year is owed in full."""
    api = replace(UNITS, usd_per_unit_hour=2.0, unit_term_months=term_months)
    found = bill(api, [use(), use()], token_index=np.array([1.0, 1.1, 1.21]))
    assert total_usd(found.lines) == pytest.approx(usd)


def test_units_by_the_hour_move_in_the_draws_as_tokens_do() -> None:
    """In the second draw prices double from the first month on; tokens of the same money do the same."""
    index = np.array([[1.0, 1.0], [1.0, 2.0]])
    by_unit, by_token = (
        study_usd_per_month(Terms("api", apis=(api,), months=1.0, token_index=index), [use()])
        for api in (replace(UNITS, usd_per_unit_hour=2.0), replace(API, prices=(replace(API.prices[0], input=20.0),)))
    )
    assert np.asarray(by_unit).tolist() == pytest.approx([14_600.0, 29_200.0])
    assert np.asarray(by_token).tolist() == pytest.approx([14_600.0, 29_200.0])


@pytest.mark.parametrize(
    ("least_usd", "lacks_usd"), [(0.0, 0.0), (100.0, 0.0), (109.5, 0.0), (120.0, 10.5), (1_000.0, 890.5)]
)
def test_a_spend_that_is_agreed_is_paid_up(least_usd: float, lacks_usd: float) -> None:
    """730 million prompt tokens at $0.15 are $109.50 a month; a thousand agreed lack $890.50."""
    found = bill(replace(API, minimum_usd_per_month=least_usd), [use()])
    assert total_usd(found.lines) == pytest.approx(109.5 + lacks_usd)
    assert {line.part for line in found.lines if line.category == "minimum spend"} == (
        {"unused"} if lacks_usd else set()
    )
    assert found.paid_usd.sum() == pytest.approx(109.5 + lacks_usd)


def test_all_of_a_provider_counts_towards_it_and_each_month_by_itself() -> None:
    """$109.50 and $328.50 of tokens, a fee of $50: of $200 a month the first lacks $40.50, the second nothing."""
    api = replace(API, minimum_usd_per_month=200.0, fixed_usd_per_month=50.0)
    found = bill(api, [use(), use(3_000_000)])
    assert [float(total_usd(month.lines)) for month in found.months] == pytest.approx([200.0, 378.5])
    assert total_usd(found.lines) == pytest.approx((200.0 + 378.5) / 2)


def test_in_draws_it_is_paid_up_where_tokens_are_cheap() -> None:
    """$109.50 at today's price, $219 at twice: of $150 agreed the first draw lacks $40.50."""
    terms = Terms("api", apis=(replace(API, minimum_usd_per_month=150.0),), months=1.0)
    drawn = replace(terms, token_index=np.array([[1.0, 1.0], [1.0, 2.0]]))
    assert np.asarray(study_usd_per_month(drawn, [use()])).tolist() == pytest.approx([150.0, 219.0])


def test_a_licence_goes_by_gpu_of_the_replicas_at_the_peak() -> None:
    """Two replicas of four GPUs at $375 a GPU are $3,000 a month beside $100 by replica, $200."""
    stays = tuple(Stay(k, 0, "serving", 0.0, 2 * HOUR) for k in range(2))
    usage = Usage(2 * HOUR, (pool(gpus=4, stays=stays),), (), ())
    fee = Fee("licence", usd_per_replica_month=100.0, usd_per_gpu_month=375.0)
    terms = Terms("cloud", rented=(rented(),), fees=(fee,), months=1.0)
    agree(terms, [month(usage)])
    lines = [line for line in bill_study(terms, [month(usage)]).lines if line.category == "licence"]
    assert {line.part: float(line.usd) for line in lines} == {"by replica": 200.0, "by GPU": 3_000.0}


def test_a_gateway_goes_by_the_requests_that_come() -> None:
    """3,600 in an hour are 2.628 million a month: $262.80 at $100 a million, and half of it where no more come."""
    fee = Fee("gateway", usd_per_million_requests=100.0)
    terms = Terms("cloud", rented=(rented(),), fees=(fee,), months=2.0)
    stays = (Stay(0, 0, "serving", 0.0, HOUR),)
    busy, quiet = (Usage(HOUR, (pool(stays=stays, end_s=HOUR),), (), (), requests=(n,)) for n in (3_600, 1_800))
    agree(terms, [month(busy), month(quiet)])
    found = bill_study(terms, [month(busy), month(quiet)])
    lines = [[line for line in one.lines if line.category == "gateway"] for one in found.months]
    assert [[(one.part, one.unit, float(one.usd)) for one in each] for each in lines] == [
        [("by request", "requests", pytest.approx(262.8))],
        [("by request", "requests", pytest.approx(131.4))],
    ]
    assert [one.quantity for each in lines for one in each] == pytest.approx([2_628_000.0, 1_314_000.0])


def test_a_guardrail_goes_by_the_requests_of_its_classes() -> None:
    """Of 600, 3,000 and 1,800 in an hour: $43.80 at $100 a million for the first, $175.20 with the last."""
    rent = {"rented": (rented(),), "months": 1.0}
    usage = Usage(
        HOUR, (pool(stays=(Stay(0, 0, "serving", 0.0, HOUR),), end_s=HOUR),), (), requests=(600, 3_000, 1_800)
    )
    for classes, usd in (((0,), 43.8), ((0, 2), 175.2), ((), 394.2)):
        terms = Terms("cloud", fees=(Fee("guardrail", usd_per_million_requests=100.0, classes=classes),), **rent)
        agree(terms, [month(usage)])
        found = {line.category: float(line.usd) for line in bill_study(terms, [month(usage)]).lines}
        assert found["guardrail"] == pytest.approx(usd)


TWO = """
schema_version: 1
name: guarded
model: llama-3.1-8b-instruct
workload:
  classes:
    - {name: batch, arrivals: {kind: poisson, rate_rps: 3}, lengths: {isl: 100, osl: 10}, slo: {e2e_s: {p90: 30}}}
    - {name: chat, arrivals: {kind: poisson, rate_rps: 1}, lengths: {isl: 100, osl: 10}, slo: {e2e_s: {p90: 30}}}
topologies:
  rent:
    pools: [{name: base, site: lambda, gpu: h100-sxm}]
    fees: [{name: guardrail, FEE}]
cost: {draws: 0}
run: {horizon_s: 120, warmup_s: 20, keep_requests: false}
"""


def test_the_requests_of_a_class_are_those_that_came_in_the_window(tmp_path: Path) -> None:
    fee = "usd_per_million_requests: 500, classes: [chat]"
    run = simulate(written(tmp_path, TWO.replace("FEE", fee)), tmp_path)
    classes = run.summary["topologies"]["rent"]["metrics"]["classes"]
    by_class = {name: row["arrived"] for name, row in classes.items()}
    lines = pd.read_parquet(run.bundle / "costs.parquet")
    paid = lines[lines["category"] == "guardrail"]["usd_per_month"].sum()
    assert paid == pytest.approx(by_class["chat"] * 730 * 36 * 500e-6)
    assert by_class["batch"] > by_class["chat"] > 50
    study = second_bill(run.bundle, "rent")
    assert sum(row["usd"] for row in study.mean_lines()) == pytest.approx(lines["usd_per_month"].sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("fee", "said"),
    [
        ("usd_per_million_requests: 500, classes: [chats]", "chats"),
        ("usd_per_month: 500, classes: [chat]", "'usd_per_million_requests' is missing"),
        ("usd_per_million_requests: 500, classes: []", "at least 1"),
    ],
)
def test_classes_of_a_fee_are_classes_of_the_workload(tmp_path: Path, fee: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        written(tmp_path, TWO.replace("FEE", fee))
    (problem,) = caught.value.problems
    assert said in problem.message
    assert problem.path.startswith("topologies.rent.fees[0].classes")


def costed(name: str, api: ApiTerms, months: list[MonthUse]) -> Costed:
    terms = Terms(name, apis=(api,), months=float(len(months)))
    walked = tuple(Walked(k + 1, ((1.0,),), (), True, 1.0, "", ()) for k in range(len(months)))
    return Costed(name, terms, walked, tuple(months), bill_study(terms, months), ())


def test_what_flips_it_knows_that_a_spend_is_bent() -> None:
    """Agreed are $200 for tokens of $109.50; a rival asks $150 in fees for the same. Tokens for nothing change nothing:
    $200 are paid still. Fees at × 1.333 make the rival as dear."""
    mine = costed("agreed", replace(API, minimum_usd_per_month=200.0), [use()])
    free = replace(UNITS, provisioned_units=0.0, fixed_usd_per_month=150.0)
    rival = costed("flat", free, [use()])
    flips = {flip.assumption: flip for flip in price_flips([mine, rival], {"flat"}, lambda *_: None, {})}
    assert flips["price of tokens"].factor is None
    assert flips["fees of token APIs"].factor == pytest.approx(200 / 150, rel=2e-3)
    cheap = costed("flat", replace(free, fixed_usd_per_month=205.0), [use()])
    found = {flip.assumption: flip for flip in price_flips([mine, cheap], {"agreed"}, lambda *_: None, {})}
    assert found["price of tokens"].factor == pytest.approx(205 / 109.5, rel=2e-3)


def test_hours_of_use_are_not_asked_where_a_spend_is_agreed() -> None:
    """Tokens of $109.50 come in the hours that a licence and rent are used; $200 are paid whenever they come."""
    stays = (Stay(0, 0, "serving", 0.0, HOUR),)
    usage = Usage(HOUR, (pool(gpus=8, stays=stays, end_s=HOUR),), (), ())
    fees = (Fee("licence", usd_per_month=10.0),)
    terms = Terms("cloud", rented=(rented(usd=0.5),), fees=fees, months=1.0)
    walked = (Walked(1, ((1.0,),), (), True, 1.0, "", ()),)
    cloud = Costed("cloud", terms, walked, (month(usage),), bill_study(terms, [month(usage)]), ())
    below = against(costed("api", API, [use()]), cloud)
    assert (below.hours_per_day, below.hours_below) == (0.0, None), "$365 of rent are more than $109.50"
    agreed = against(costed("agreed", replace(API, minimum_usd_per_month=200.0), [use()]), cloud)
    assert (agreed.hours_per_day, agreed.hours_below) == (None, None)


def test_the_connection_of_a_site_is_paid_once_whatever_stands_there(tmp_path: Path) -> None:
    """$900 a month for two kinds of server of one site, $400 more for another site, and their tax of a fifth."""
    pools = ", ".join(
        f"{{name: {gpu}, site: {site}, gpu: {gpu}, billing: owned}}"
        for site, gpu in (("datacentre", "h100-sxm"), ("datacentre", "l40s"), ("colo", "h200"))
    )
    servers = (
        "{name: here, site: datacentre, network_usd_per_month: 900}, "
        "{name: there, site: colo, network_usd_per_month: 400}"
    )
    vat = "taxes: [{name: vat, share: 0.2, categories: [facility network]}]"
    text = chat(f"own: {{servers: [{servers}], pools: [{pools}], {vat}}}", study="months: 3", rate_rps=1)
    run = simulate(written(tmp_path, text), tmp_path)
    lines = pd.read_parquet(run.bundle / "costs.parquet")
    paid = lines[lines["category"] == "facility network"].groupby("site")["usd_per_month"].sum()
    assert paid.to_dict() == pytest.approx({"datacentre": 900, "colo": 400})
    assert lines[lines["category"] == "vat"]["usd_per_month"].sum() == pytest.approx(260)
    study = second_bill(run.bundle, "own")
    assert [row["usd"] for row in study.mean_lines()] == pytest.approx(lines["usd_per_month"].tolist(), rel=1e-9)


def test_the_price_of_a_connection_moves_as_an_assumption() -> None:
    """$900 a month for an uplink are $1,800 at twice its price; where none is paid nothing is asked."""
    change, applies = ASSUMPTIONS["price of sites' connections"]
    uplink = owned(server=PLAIN_SERVER, facility=replace(FREE, network_usd_per_month=900.0))
    there = month(Usage(HOUR, (pool(stays=fixed(1)),), (), (servers(1, ["pool"]),)))
    agreed = Terms("own", owned=(uplink,), months=1.0)
    paid = [usd_by_category(bill_study(terms, [there]).lines) for terms in (agreed, change(agreed, 2.0))]
    assert [one["facility network"] for one in paid] == pytest.approx([900.0, 1_800.0])
    assert paid[0]["hardware"] == paid[1]["hardware"]
    assert applies(agreed)
    assert not applies(replace(agreed, owned=(owned(server=PLAIN_SERVER, facility=FREE),)))


def test_a_token_api_says_its_region_in_the_export(tmp_path: Path) -> None:
    """One's own has none unless given, one of the catalog that of its site unless given; an event may move it."""
    own = "prices: [{input: 1, output: 2}], ttft_s: {median: 0.1}, tpot_s: {median: 0.01}, data_classes: [internal]"
    names = {"none": "", "here": "region: eu-central-1, ", "moved": "region: eu-west-1, "}
    apis = [f"at-{name}: {{providers: [{{name: {name}, {region}{own}}}]}}" for name, region in names.items()]
    catalog = "at-listed: {providers: [{name: listed, offer: openai/gpt-4o-mini, data_classes: [internal]}]}"
    change = "{name: move, from_month: 2, topology: at-moved, change: {providers: [{name: moved, region: eu-north-1}]}}"
    run = simulate(
        written(tmp_path, chat(*apis, catalog, study=f"months: 2, events: [{change}]", rate_rps=1)), tmp_path
    )
    frame = pd.read_csv(run.bundle / "costs_focus.csv", keep_default_na=False)
    regions = {name: set(rows["RegionId"]) for name, rows in frame.groupby("ResourceId")}
    assert regions["none"] == {""}
    assert regions["here"] == {"eu-central-1"}
    assert regions["moved"] == {"eu-north-1"}
    assert regions["listed"] == {"us"}
