"""What a scenario says of its servers, each key alone, on its way to the terms of the bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.catalog.costs import cost_entry
from simulator.resolve.servers import gpus_per_server
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import check_catalog_names, plan_topologies, plan_topology
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

OWNED = "own: {pools: [{name: p, site: datacentre, gpu: l40s, billing: owned, replicas: 1}]}"
HERE = "{{name: here, site: datacentre, gpu: l40s, {}}}"


def site_of(folder: Path, *servers: str, topology: str = "", cost: str = "") -> Any:
    text = chat(OWNED.replace("]}", f"]{', servers: [' + topology + ']' if topology else ''}}}"), study="")
    text += f"servers: [{', '.join(servers)}]\n" if servers else ""
    loaded = written(folder, text.replace("cost: {draws: 0}", f"cost: {{draws: 0{cost}}}"))
    (site,) = resolve_terms(plan_topology(loaded, "own")).terms.owned
    return site


def figure(name: str, part: str | None = None) -> float:
    return float(cost_entry(name).number(part))


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ("capex_usd: 77000", "capex_usd", 77_000.0),
        ("network_storage_share: 0.33", "network_storage_share", 0.33),
        ("maintenance_share_per_year: 0.07", "maintenance_share_per_year", 0.07),
        ("life_years: 7", "life_years", 7.0),
        ("host_kw: 1.25", "host_kw", 1.25),
        ("reserved_kw: 5.5", "reserved_kw", 5.5),
        ("install_usd: 4200", "install_usd", 4200.0),
        ("residual_share: 0.21", "residual_share", 0.21),
        ("lead_weeks: 26", "lead_months", 26 * 168 / 730),
    ],
)
def test_a_key_of_a_server_is_its_own_figure_and_no_other(tmp_path: Path, said: str, name: str, value: float) -> None:
    plain, own = site_of(tmp_path).server, site_of(tmp_path, HERE.format(said)).server
    assert getattr(own, name) == pytest.approx(value)
    follow = {"host_kw": {"reserved_kw"}, "residual_share": {"resale_share_by_age"}, "life_years": {"residual_share"}}
    kept = {key for key in plain.__dataclass_fields__ if key != name} - follow.get(name, set())
    assert {key for key in kept if getattr(own, key) != getattr(plain, key)} == set()


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ("spares: 3", "spares", 3),
        ("spares: 0", "spares", 0),
        ("space_usd_per_kw_month: 321", "usd_per_kw_month", 321.0),
        ("pue: 1.75", "pue", 1.75),
    ],
)
def test_a_key_of_a_place_is_its_own_figure(tmp_path: Path, said: str, name: str, value: float) -> None:
    own = site_of(tmp_path, HERE.format(said))
    assert getattr(own if name == "spares" else own.facility, name) == value


def test_spares_are_a_share_unless_their_number_is_given(tmp_path: Path) -> None:
    assert site_of(tmp_path).spares is None
    assert site_of(tmp_path).spare_share == figure("onprem.spare_fraction")
    assert site_of(tmp_path, HERE.format("spares: 3")).spare_share == 0.0


@pytest.mark.parametrize("gpus", [3, 5, 16])
def test_a_host_draws_by_its_gpus_where_the_catalog_has_no_such_server(tmp_path: Path, gpus: int) -> None:
    """What eight draw is the catalog's; capacity is reserved for the boards of all, beside the host."""
    server = site_of(tmp_path, HERE.format(f"gpus_per_server: {gpus}, capex_usd: 1000")).server
    assert server.gpus == gpus
    assert server.host_kw == pytest.approx(figure("power.host_kw") * gpus / 8)
    assert server.reserved_kw == pytest.approx(server.host_kw + gpus * 0.35), "boards of 350 W"


def test_the_words_of_a_topology_go_before_those_of_all_and_of_one_gpu_before_those_of_any(tmp_path: Path) -> None:
    anywhere, here = "{name: any, site: datacentre, life_years: 3, spares: 5}", HERE.format("life_years: 4")
    assert site_of(tmp_path, anywhere).server.life_years == 3
    both = site_of(tmp_path, anywhere, here)
    assert (both.server.life_years, both.spares) == (4, 5)
    mine = site_of(tmp_path, anywhere, here, topology="{name: mine, site: datacentre, life_years: 6}")
    assert (mine.server.life_years, mine.spares) == (6, 5)
    other = "{name: other, site: datacentre, gpu: h100-sxm, life_years: 9}"
    assert site_of(tmp_path, other, here).server.life_years == 4


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("onprem.network_storage_share: 0.5", "network_storage_share", 0.5),
        ("onprem.maintenance_rate: 0.5", "maintenance_share_per_year", 0.5),
        ("onprem.economic_life: 3", "life_years", 3.0),
        ("power.host_kw: 3.2", "host_kw", 3.2 * 3 / 8),
    ],
)
def test_an_overridden_figure_reaches_what_it_is_meant_for(
    tmp_path: Path, override: str, name: str, value: float
) -> None:
    server = site_of(
        tmp_path, HERE.format("gpus_per_server: 3, capex_usd: 1000"), cost=f", overrides: {{{override}}}"
    ).server
    assert getattr(server, name) == pytest.approx(value)


def test_a_server_has_as_many_gpus_as_its_node_unless_told(tmp_path: Path) -> None:
    loaded = written(tmp_path, chat(OWNED, study=""))
    pool = loaded.scenario.topologies["own"].pools[0]
    assert gpus_per_server(loaded, "own", pool) == site_of(tmp_path).server.gpus
    own = written(tmp_path, chat(OWNED, study="") + f"servers: [{HERE.format('gpus_per_server: 2')}]\n")
    assert gpus_per_server(own, "own", pool) == 2


@pytest.mark.parametrize("second", ["auto", "0"])
def test_servers_of_a_pool_that_gets_no_replica_are_left_over(tmp_path: Path, second: str) -> None:
    """One replica answers all, so the other site needs none; the run's scenario has its servers no more, and runs."""
    pools = [
        f"{{name: {site}, site: {site}, gpu: h100-sxm, billing: owned, replicas: " for site in ("colo", "datacentre")
    ]
    own = f"own: {{pools: [{pools[0]}1}}, {pools[1]}{second}}}], routing: {{kind: overflow}}}}"
    entries = [f"{{name: {site}, site: {site}, capex_usd: 50000}}" for site in ("datacentre", "colo")]
    loaded = written(tmp_path, chat(own, study="months: 1", rate_rps=1) + f"servers: [{', '.join(entries)}]\n")
    check_catalog_names(loaded)
    run = simulate(loaded, tmp_path / "runs", advise=False)
    again = load_scenario(run.bundle / "scenario.resolved.yaml")
    check_catalog_names(again)
    (planned,) = plan_topologies(again)
    assert [pool.name for pool in planned.settings.pools] == ["colo"]
    assert [(servers.name, servers.capex_usd) for servers in again.scenario.servers] == [("colo", 50_000)]
