"""What servers bring that are sold at an age, as the scenario says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from agreement import agree
from bill_cases import HOUR_S, fixed, month, pool, servers
from scenario_cases import chat, written

from simulator.bill.hardware import resale_share
from simulator.bill.study import bill_study
from simulator.errors import InputError
from simulator.resolve.idle_terms import idle_terms
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.phases import check_events
from simulator.run.simulate import simulate
from simulator.study.terms import OwnedSite, Terms
from simulator.study.usage import Usage

OWNED = "own: {pools: [{name: p, site: datacentre, gpu: l40s, billing: owned, replicas: 1}]}"
AGES = "resale_by_age: [{age_years: 0.5, share: 0.8}, {age_years: 2, share: 0.3}]"


def site_of(folder: Path, said: str) -> OwnedSite:
    text = chat(OWNED, study="") + f"servers: [{{name: here, site: datacentre, {said}}}]\n"
    (site,) = resolve_terms(plan_topology(written(folder, text), "own")).terms.owned
    return site


@pytest.mark.parametrize(
    ("said", "shares"),
    [
        (f"life_years: 4, {AGES}", (0.9, 0.8, 0.55, 0.3, 0.3)),
        (f"life_years: 4, residual_share: 0.1, {AGES}", (0.9, 0.8, 0.55, 0.3, 0.1)),
        (f"life_years: 1.25, {AGES}", (0.9, 0.8, 0.55)),
        ("life_years: 4, resale_by_age: [{age_years: 0, share: 0.6}]", (0.6, 0.6, 0.6, 0.6, 0.6)),
    ],
    ids=["alone", "with the end of its life", "a life between", "of its price at once"],
)
def test_shares_by_age_are_those_that_are_said(tmp_path: Path, said: str, shares: tuple[float, ...]) -> None:
    """A quarter of a year is half way from the price to 80 %, 1.25 years from there to 30 %."""
    server = site_of(tmp_path, said).server
    ages = (0.25, 0.5, 1.25, 2.0, 4.0)[: len(shares)]
    assert [resale_share(server, age) for age in ages] == pytest.approx(shares)
    assert server.residual_share == pytest.approx(shares[-1])


def test_ages_rise(tmp_path: Path) -> None:
    falling = "resale_by_age: [{age_years: 2, share: 0.5}, {age_years: 1, share: 0.6}]"
    with pytest.raises(InputError, match=r"servers\[0\]\.resale_by_age\[1\]\.age_years: must be above the age before"):
        site_of(tmp_path, falling)


def test_servers_are_sold_and_written_off_by_the_shares_of_their_ages(tmp_path: Path) -> None:
    """Two servers of $100,000 at $12,000 of network after 15 months of four years: 55 % of $224,000 come back."""
    said = f"capex_usd: 100000, network_storage_share: 0.12, life_years: 4, install_usd: 0, spares: 1, {AGES}"
    site = site_of(tmp_path, said)
    served = Usage(2 * HOUR_S, (pool("p", gpus=1, stays=fixed(1)),), (), (servers(1, ["p"]),))
    there = replace(served, servers=(replace(served.servers[0], site="datacentre", gpu="l40s"),))
    terms = Terms("own", owned=(site,), months=15)
    agree(terms, [month(there)] * 15)
    bill = bill_study(terms, [month(there)] * 15)
    assert (bill.capex_usd, float(bill.once_usd[-1])) == pytest.approx((224_000, -0.55 * 224_000))


def test_a_sale_where_nothing_is_left_without_use_is_told(tmp_path: Path) -> None:
    """The first event leaves the servers where they are, the second puts others in their place."""
    staff = "{name: people, from_month: 2, topology: own, resale_share: 0.3, change: {staff: {base_fte: 2}}}"
    other = "{name: other, from_month: 3, topology: own, resale_share: 0.3, change: {pools: [{name: p, gpu: l4}]}}"
    loaded = written(tmp_path, chat(OWNED, study=f"months: 4, events: [{other}, {staff}]", rate_rps=1))
    words = "without effect, as people leaves no servers of one's own without use"
    later = check_events(loaded)["own"]
    first = resolve_terms(plan_topology(loaded, "own")).terms
    assert idle_terms(loaded.scenario, {"own": [first, *later]}) == [("study.events[1].resale_share", words)]
    told = simulate(loaded, None).summary["topologies"]["own"]["warnings"]
    assert [row["text"] for row in told if "resale_share" in row["text"]] == [f"study.events[1].resale_share: {words}"]
