"""Scenario and catalog to the nouns of money: what is said wins, the rest is the catalog's, and each figure is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from terms_cases import OWNED, RENTED, TEXT, pools, refused, resolve

from simulator.catalog.costs import cost_entry
from simulator.catalog.freshness import catalog_day
from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import day_of
from simulator.catalog.servers import server_kind
from simulator.errors import InputError
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario


def test_pools_on_one_site_and_gpu_share_its_servers(tmp_path: Path) -> None:
    second, other = (OWNED.replace("base", name) for name in ("more", "other"))
    terms = resolve(tmp_path, pools(OWNED, second, other.replace("h100-sxm", "l40s"))).terms
    assert [(place.site, place.server.gpu, place.pools) for place in terms.owned] == [
        ("datacentre", "h100-sxm", ("base", "more")),
        ("datacentre", "l40s", ("other",)),
    ]
    (place, _) = terms.owned
    assert place.server.capex_usd == cost_entry("onprem.server_capex.8xH100").number()
    assert place.spares is None
    assert place.spare_share == cost_entry("onprem.spare_fraction").number()
    assert place.server.name == "8xh100-sxm"
    assert place.facility.usd_per_kw_month == cost_entry("facility.own_usd_per_kw_month").number()
    assert len(place.facility.co2_kg_per_kwh) == 288


def test_what_a_topology_says_of_its_servers_wins_then_the_scenario_then_the_catalog(tmp_path: Path) -> None:
    own = "servers: [{name: a, site: datacentre, gpus_per_server: 4, capex_usd: 50000, spares: 2, lead_weeks: 10}]"
    general = (
        "servers: [{name: b, site: datacentre, capex_usd: 70000, host_kw: 0.5, space_usd_per_kw_month: 0, pue: 1.2, "
        "electricity_usd_per_kwh: 0.3}, {name: c, site: datacentre, gpu: h100-sxm, host_kw: 0.7}]"
    )
    (place,) = resolve(tmp_path, f"{{pools: [{OWNED}], {own}}}", general).terms.owned
    server = place.server
    assert (server.gpus, server.capex_usd, server.host_kw, place.spares) == (4, 50_000, 0.7, 2)
    assert server.reserved_kw == pytest.approx(0.7 + 4 * gpu("h100-sxm").board_power.value / 1000)
    assert (place.facility.usd_per_kw_month, place.facility.pue) == (0.0, 1.2)
    assert place.facility.electricity_usd_per_kwh == (0.3,)
    assert server.lead_months == pytest.approx(10 * 7 * 24 / 730)
    assert server.maintenance_share_per_year == cost_entry("onprem.maintenance_rate").number()


def test_servers_of_the_catalog_are_named_or_chosen_by_their_gpus(tmp_path: Path) -> None:
    for words in ("server: 4xh100-sxm", "gpus_per_server: 4"):
        (place,) = resolve(tmp_path, pools(OWNED), f"servers: [{{name: a, site: datacentre, {words}}}]").terms.owned
        kind = server_kind("4xh100-sxm")
        assert (place.server.name, place.server.gpus, place.server.capex_usd) == (kind.name, 4, kind.capex.value)
        assert (place.server.host_kw, place.server.reserved_kw) == (kind.host.value, kind.nameplate.value)


def test_hosts_of_smaller_servers_draw_less(tmp_path: Path) -> None:
    small = "servers: [{name: a, site: datacentre, gpus_per_server: 3, capex_usd: 1}]"
    (place,) = resolve(tmp_path, pools(OWNED), small).terms.owned
    assert place.server.host_kw == pytest.approx(3 * cost_entry("power.host_kw").number() / 8)


@pytest.mark.parametrize(
    ("topology", "rest", "told"),
    [
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, gpus_per_server: 3}]",
            "terms.yaml:17:53: topologies.one.pools[0].gpu: the catalog has no price of a server with 3 h100-sxm",
        ),
        (
            pools(OWNED.replace("datacentre", "lambda")),
            "",
            "17:68: topologies.one.pools[0].billing: lambda rents out GPUs",
        ),
        (
            f"{{pools: [{OWNED}], servers: [{{name: a, site: colo}}]}}",
            "",
            "topologies.one.servers[0].site: no owned pool of this topology stands there (got colo)",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: colo}, {name: b, site: colo, gpu: l40s}, {name: c, site: colo, gpu: L40S}]",
            "servers of colo are given twice",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, server: 4xl40s}]",
            "18:47: servers[0].server: 4xl40s has l40s, but a pool there h100-sxm",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, server: 4xh100-sxm, gpus_per_server: 8}]",
            "servers[0].server: 4xh100-sxm has 4 GPUs, but servers[0].gpus_per_server says 8",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, server: 4xh100}]",
            "did you mean '4xh100-nvl', '4xh100-sxm' or '4xh100-pcie'?",
        ),
        (
            pools(OWNED.replace("}", ", tensor_parallel_size: 8}")),
            "servers: [{name: a, site: datacentre, server: 4xh100-sxm}]",
            "tensor_parallel_size: a server with 4 GPUs cannot hold tensor_parallel_size 8 (got 8)",
        ),
        (pools(OWNED), "servers: [{name: a, site: datacenter}]", "did you mean 'datacentre'?"),
        (pools(OWNED), "servers: [{name: a, site: colo, gpus_per_server: 73}]", "less than or equal to 72"),
        (pools(OWNED.replace("}", ", commitments: 1}")), "", "is a term of rented instances, but billing is owned"),
        (pools(f"{{{RENTED}, gpus_per_instance: 2}}"), "", "the catalog has no price of an instance with 2 GPUs"),
        (
            pools(f"{{{RENTED}, gpus_per_instance: 2, tensor_parallel_size: 4, price_usd_per_gpu_hour: 2}}"),
            "",
            "gpus_per_instance: an instance with 2 GPUs cannot hold tensor_parallel_size 4 (got 2)",
        ),
        (
            pools(f"{{{RENTED}, instance: p5.48xlarge, tensor_parallel_size: 16}}"),
            "",
            "pools[0].instance: an instance with 8 GPUs cannot hold tensor_parallel_size 16",
        ),
        (
            pools(f"{{{RENTED}, instance: p4d.24xlarge}}"),
            "",
            "pools[0].instance: p4d.24xlarge has a100-40, not the h100-sxm of this pool",
        ),
        (pools(f"{{{RENTED}, instance: p5.48}}"), "", "did you mean 'p5.48xlarge'?"),
        (pools(f"{{{RENTED}, billing: reserved}}"), "", "'term_months' is missing"),
        (pools(f"{{{RENTED}, billing: reserved_1y, term_months: 24}}"), "", "reserved_1y is a term of 12 months"),
        (
            pools(f"{{{RENTED}, billing: reserved, term_months: 24}}"),
            "",
            "'price_usd_per_gpu_hour' is missing: the catalog has no price of a term of 24 months at aws-us-east",
        ),
        (
            pools(f"{{{RENTED}, billing: capacity_block}}").replace("h100-sxm", "l40s"),
            "",
            "pools[0].gpu: no capacity_block offer of l40s",
        ),
        (
            pools(f"{{{RENTED.replace('aws-us-east', 'lambda')}, tensor_parallel_size: 16}}"),
            "",
            "17:83: topologies.one.pools[0].tensor_parallel_size: no instance at lambda holds 16 h100-sxm",
        ),
        (pools(f"{{{RENTED}, price_usd_per_gpu_hour: 2, price_date: 2026-02-31}}"), "", "is no timestamp"),
        (
            pools(f"{{{RENTED}, price_usd_per_gpu_hour: 2, price_date: spring}}"),
            "",
            "price_date: must be a day, as 2026-11-26",
        ),
        (pools(OWNED), "servers: {datacentre: {spares: 1}}", "servers: must be a list"),
        (pools(f"{{{RENTED}, commitments: 1}}"), "", "commitments: needs billing reserved_1y"),
        (pools(f"{{{RENTED}, price_date: 2026-11-26}}"), "", "'price_usd_per_gpu_hour' is missing"),
    ],
)
def test_servers_and_instances_that_cannot_be_are_refused_at_their_place(
    tmp_path: Path, topology: str, rest: str, told: str
) -> None:
    assert told in refused(tmp_path, topology, rest)


def test_staff_is_the_topologys_else_for_owned_hardware_alone(tmp_path: Path) -> None:
    rented = pools(f"{{{RENTED}}}")
    assert resolve(tmp_path, rented).terms.staff == ()
    assert resolve(tmp_path, rented, "cost: {staff: {base_fte: 3}}").terms.staff == ()
    (staff,) = resolve(tmp_path, pools(OWNED), "cost: {staff: {base_fte: 3}}").terms.staff
    assert (staff.base_fte, staff.usd_per_fte_year) == (3, cost_entry("onprem.fte_cost").number())
    own = f"{{pools: [{{{RENTED}}}], staff: {{base_fte: 0.2, fte_per_replica: 0.1, usd_per_fte_year: 9}}}}"
    (staff,) = resolve(tmp_path, own, "cost: {staff: {base_fte: 3}}").terms.staff
    assert (staff.base_fte, staff.fte_per_server, staff.fte_per_replica, staff.usd_per_fte_year) == (0.2, 0, 0.1, 9)


def test_fees_stand_at_any_topology(tmp_path: Path) -> None:
    fees = "fees: [{name: licence, usd_once: 5, usd_per_replica_month: 2}, {name: support, share_of_bill: 0.1}]"
    (licence, support) = resolve(tmp_path, f"{{pools: [{{{RENTED}}}], {fees}}}").terms.fees
    assert (licence.name, licence.usd_once, licence.usd_per_replica_month) == ("licence", 5, 2)
    assert (support.name, support.share_of_bill) == ("support", 0.1)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("{power.pue: 0.5}", "cost.overrides.power.pue: must be at least 1 (ratio) (got 0.5)"),
        ("{power: {pue: 0.5}}", "cost.overrides.power.pue: must be at least 1 (ratio) (got 0.5)"),
        ("{onprem.network_storage_share: -0.1}", "must be from 0 to 1"),
        ("{onprem.maintenance_rate: 3}", "must be from 0 to 1"),
        ("{colo.rate: -1}", "must be at least 0 (USD per kW-month)"),
        ("{onprem.economic_life: 0}", "must be at least 0.0833333 (years)"),
        ("{power.pux: 1}", "unknown cost figure 'power.pux': did you mean 'power.pue'?"),
        ("{onprem.residual_fraction.49m: 0.2}", "unknown part of onprem.residual_fraction '49m'"),
        ("{onprem.residual_fraction.48m: 1.2}", "must be from 0 to 1"),
    ],
)
def test_overrides_beyond_what_a_figure_can_be_are_refused_at_their_place(
    tmp_path: Path, overrides: str, told: str
) -> None:
    text = refused(tmp_path, pools(OWNED), "cost:", f"  overrides: {overrides}")
    assert told in text
    assert text.startswith("terms.yaml:19:")


def test_an_override_holds_for_a_part_of_a_table_or_for_all_of_it(tmp_path: Path) -> None:
    part = resolve(tmp_path, pools(OWNED), "cost: {overrides: {onprem.residual_fraction.12m: 0.9}}")
    whole = resolve(tmp_path, pools(OWNED), "cost: {overrides: {onprem.residual_fraction: 0.0}}")
    first = [found.terms.owned[0].server.resale_share_by_age for found in (part, whole)]
    assert first[0][0] == (1.0, 0.9)
    assert first[0][1] == (2.0, 0.425)
    assert {share for _, share in first[1]} == {0.0}
    assert part.used_overrides == {"onprem.residual_fraction.12m"}


@pytest.mark.parametrize(
    ("residual", "overrides", "expected"),
    [
        ("0", "", [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (4.0, 0.0), (5.0, 0.0)]),
        ("0.25", "", [(0.0, 1.0), (1.0, 1.0), (2.0, 0.85), (3.0, 0.6), (4.0, 0.35), (5.0, 0.25)]),
        ("0.125", "", [(0.0, 1.0), (1.0, 0.625), (2.0, 0.425), (3.0, 0.3), (4.0, 0.175), (5.0, 0.125)]),
        (
            "0",
            "onprem.residual_fraction.36m: 0.3",
            [(1.0, 0.625), (2.0, 0.425), (3.0, 0.3), (4.0, 0.175), (5.0, 0.125)],
        ),
    ],
)
def test_a_residual_share_moves_what_a_server_brings_at_every_age(
    tmp_path: Path, residual: str, overrides: str, expected: list[tuple[float, float]]
) -> None:
    """The catalog's server brings 0.125 after its five years: none, at most its price, as much."""
    servers = f"servers: [{{name: a, site: datacentre, life_years: 5, residual_share: {residual}}}]"
    cost = f"cost: {{overrides: {{{overrides}}}}}"
    (place,) = resolve(tmp_path, pools(OWNED), servers, cost).terms.owned
    assert place.server.residual_share == float(residual)
    assert [age for age, _ in place.server.resale_share_by_age] == [age for age, _ in expected]
    shares = [share for _, share in place.server.resale_share_by_age]
    assert shares == pytest.approx([share for _, share in expected])


def test_an_override_is_set_by_its_dotted_name() -> None:
    scenario = Path("tests/data/scenarios/small.yaml")
    (planned, _) = plan_topologies(load_scenario(scenario, sets=["cost.overrides.power.host_kw=1"]))
    assert resolve_terms(planned).terms.owned[0].server.host_kw == 1.0


def test_every_figure_that_was_used_has_a_source_and_a_day_or_a_place(tmp_path: Path) -> None:
    both = f"{{pools: [{OWNED}, {{{RENTED}}}], providers: [{{name: api, offer: openai/gpt-4o-mini}}]}}"
    found = resolve(tmp_path, both, "cost: {discount_rate: 0.05}")
    by_id = {figure.id: figure for figure in found.figures}
    assert len(by_id) == len(found.figures)
    for figure in found.figures:
        assert np.isfinite(figure.value)
        assert figure.unit
        assert (figure.source and figure.date) if figure.kind != "given" else figure.place
    assert by_id["cost.discount_rate"].place == f"{tmp_path}/terms.yaml:18:23"
    for name in ("onprem.server_capex.8xH100", "aws-us-east/h100-sxm/on_demand", "onprem.fte_per_cluster"):
        assert name in by_id
    assert "onprem.wacc" not in by_id
    assert {figure.id for figure in found.stale} >= {"onprem.fte_cost"}
    aged = {figure.id: (catalog_day() - day_of(figure.date)).days for figure in found.figures if figure.date}
    assert aged["power.pue"] > 365, "what a building draws is old after three years"
    assert all(aged[figure.id] > (90 if "GPU-hour" in figure.unit else 365) for figure in found.stale)
    assert found.unknown == ()


def test_the_cost_of_capital_is_named_where_it_moves_a_line(tmp_path: Path) -> None:
    owned, rented = resolve(tmp_path, pools(OWNED)), resolve(tmp_path, pools(f"{{{RENTED}}}"))
    assert "onprem.wacc" in owned.estimates
    assert "onprem.wacc" not in rented.estimates
    assert owned.terms.discount_rate_per_year == rented.terms.discount_rate_per_year
    given = resolve(tmp_path, pools(f"{{{RENTED}}}"), "cost: {overrides: {onprem.wacc: 0.2}}")
    assert given.terms.discount_rate_per_year == 0.2
    assert given.used_overrides == {"onprem.wacc"}


@pytest.mark.parametrize("turned", [False, True])
def test_a_site_has_one_network_whatever_stands_there(tmp_path: Path, turned: bool) -> None:
    """The first pool's was taken and the other one's dropped, so that the order of the pools moved the bill."""
    both = [OWNED, OWNED.replace("base", "other").replace("h100-sxm", "l40s")]
    topology = pools(*(both[::-1] if turned else both))
    said = "{name: a, site: datacentre, gpu: l40s, network_usd_per_month: 1000}"
    other = said.replace("name: a", "name: b").replace("l40s", "h100-sxm")
    words = "datacentre has one network for all of its servers, and servers["
    assert words in refused(tmp_path, topology, f"servers: [{said}, {other.replace('1000', '3000')}]")
    for servers in (f"servers: [{said}, {other}]", f"servers: [{said}]"):
        terms = resolve(tmp_path, topology, servers).terms
        assert sum(place.facility.network_usd_per_month for place in terms.owned) == 1000.0


OF_THE_SITE = {
    "electricity_usd_per_kwh: 0.05": "tariff",
    f"electricity_by_hour_usd_per_kwh: {[0.1] * 23 + [0.3]}": "tariff",
    "co2_kg_per_kwh: 0.02": "carbon intensity",
    "co2_usd_per_tonne: 70": "price of carbon",
}
TWO = [OWNED, OWNED.replace("base", "other").replace("h100-sxm", "l40s")]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("said", "what"), OF_THE_SITE.items())
def test_a_site_has_one_tariff_grid_and_clock_whatever_stands_there(
    tmp_path: Path, said: str, what: str, turned: bool
) -> None:
    """In each way in which two can be written: by GPU and by GPU, by GPU and for all, by GPU beside the site's own."""
    topology = pools(*(TWO[::-1] if turned else TWO))
    mine, theirs = (f"{{name: {card}, site: datacentre, gpu: {card}" for card in ("h100-sxm", "l40s"))
    words = f"datacentre has one {what} for all of its servers, and "
    other = "electricity_usd_per_kwh: 0.2" if what == "tariff" else said.partition(":")[0] + ": 3"
    whole = f"{{name: all, site: datacentre, {other}}}"
    alone, inside = f"{mine}, {said}}}", topology.removesuffix("}") + f", servers: [{mine}, {said}}}]}}"
    for one, *rest in (
        (topology, f"servers: [{alone}, {theirs}, {other}}}]"),
        (topology, f"servers: [{alone}, {whole}]"),
        (topology, f"servers: [{alone}]"),
        (inside, f"servers: [{whole}]"),
        (inside,),
    ):
        assert words in refused(tmp_path, one, *rest)
    for servers in (f"servers: [{alone}, {theirs}, {said}}}]", f"servers: [{alone.replace(', gpu: h100-sxm', '')}]"):
        first, second = resolve(tmp_path, topology, servers).terms.owned
        assert replace(first.facility, usd_per_kw_month=0.0) == replace(second.facility, usd_per_kw_month=0.0)


@pytest.mark.parametrize("other", ["", ", time_zone: Asia/Tokyo"])
def test_a_site_has_one_clock(tmp_path: Path, other: str) -> None:
    mine, theirs = (f"{{name: {card}, site: datacentre, gpu: {card}" for card in ("h100-sxm", "l40s"))
    servers = f"servers: [{mine}, time_zone: Europe/Berlin}}, {theirs}{other}}}]"
    file = tmp_path / "dated.yaml"
    file.write_text(
        "\n".join(
            [TEXT + f"topologies:\n  one: {pools(*TWO)}", servers, "run: {horizon_s: 60, start: 2026-03-02 8:00}"]
        )
    )
    (planned,) = plan_topologies(load_scenario(file))
    with pytest.raises(InputError, match="one time zone for all of its servers") as caught:
        resolve_terms(planned)
    assert caught.value.problems[0].path == "servers[0].time_zone"


def test_one_price_for_all_beside_one_of_a_gpu_is_refused_and_space_and_pue_are_not(tmp_path: Path) -> None:
    """Halls differ in density and cooling; what the servers of one GPU pay for power, all do."""
    mine = "servers: [{name: a, site: datacentre, gpu: h100-sxm, electricity_usd_per_kwh: 0.05}]"
    words = "one tariff for all of its servers, and cost.electricity_usd_per_kwh says 0.2: give it once, without a gpu"
    assert words in refused(tmp_path, pools(*TWO), mine, "cost: {electricity_usd_per_kwh: 0.2}")
    resolve(tmp_path, pools(*TWO), mine, "cost: {electricity_usd_per_kwh: 0.05}")
    resolve(tmp_path, pools(TWO[0]), mine)
    halls = "servers: [{name: a, site: datacentre, gpu: h100-sxm, space_usd_per_kw_month: 300, pue: 1.1}]"
    wet, dry = resolve(tmp_path, pools(*TWO), halls).terms.owned
    assert (wet.facility.pue, wet.facility.usd_per_kw_month) == (1.1, 300)
    assert dry.facility.pue > 1.1
