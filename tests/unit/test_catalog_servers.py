"""Servers as they are bought, and the grids that feed them."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import pytest

from simulator.catalog.costs import cost_entries, cost_entry
from simulator.catalog.gpus import gpu, gpus
from simulator.catalog.grids import Grid, grid, grids
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.quantity import Quantity
from simulator.catalog.servers import ServerKind, server_kind, server_kinds, server_of, servers_of
from simulator.catalog.sites import sites
from simulator.errors import InputError


@pytest.mark.parametrize("kind", server_kinds().values(), ids=lambda kind: kind.name)
def test_every_kind_of_server_is_plausible(kind: ServerKind) -> None:
    card = gpu(kind.gpu)
    assert kind.name == f"{kind.gpus}x{card.name}"
    assert kind.gpus in {1, 2, 4, 8, 36, 72}
    boards_kw = kind.gpus * card.board_power.value / 1000
    assert boards_kw < kind.nameplate.value < 2.2 * boards_kw + 1
    assert 0 < kind.host.value < kind.nameplate.value
    assert kind.nameplate.value >= boards_kw + 0.5 * kind.host.value
    assert 2_000 < kind.capex.value / kind.gpus < 80_000
    for figure in (kind.capex, kind.nameplate, kind.host):
        assert ordered(figure), (kind.name, figure)
        assert figure.source
        assert figure.date
    if kind.capex.kind == "estimate":
        assert kind.capex.low is not None


def ordered(figure: Quantity) -> bool:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return low <= figure.value <= high


UNPRICED = {
    *("a10", "a10g", "a40", "gb10", "gh200", "h20", "l20", "l40", "mi350x"),
    *("rtx-3090", "rtx-5090", "rtx-a5000", "rtx-a6000", "t4"),
}
"""GPUs without a server price in the catalog: what they cost is the scenario's to say."""


def test_every_gpu_with_a_price_can_be_bought() -> None:
    for name in gpus():
        if name in UNPRICED:
            assert not servers_of(name)
            continue
        assert servers_of(name), name
        prices = [kind.capex.value for kind in sorted(servers_of(name), key=lambda kind: kind.gpus)]
        assert prices == sorted(prices)


def test_servers_by_name_and_by_size() -> None:
    four = server_of("l40s", 4)
    assert four is not None
    assert (four.name, four.capex.value) == ("4xl40s", 52390)
    assert server_of("l40s", 3) is None
    assert server_kind("8xh100-sxm").capex.value == cost_entry("onprem.server_capex.8xH100").value
    assert server_kind("8xh100-sxm").capex.entry == "onprem.server_capex.8xH100"
    with pytest.raises(InputError, match="did you mean '72xgb200'"):
        server_kind("72xgb20")


def test_every_gpu_has_kernels_and_says_whose() -> None:
    for name in gpus():
        hardware = hardware_profile(name)
        assert hardware is not None, name
        if name in {"h100-nvl", "h800"}:
            assert hardware.transferred_from == "h100-sxm"


@pytest.mark.parametrize("entry", grids().values(), ids=lambda entry: entry.name)
def test_grids_keep_their_mean(entry: Grid) -> None:
    table = entry.co2_kg_per_kwh
    assert len(table) == 288
    assert math.fsum(table) / 288 == pytest.approx(entry.annual.value, rel=1e-12)
    assert len(entry.mean_day) == 24
    assert math.fsum(entry.mean_day) / 24 == pytest.approx(entry.annual.value, rel=1e-12)
    assert all(0 <= value < 1.2 for value in table)
    assert 0.02 < entry.annual.value < 0.9
    assert ZoneInfo(entry.time_zone)
    assert len(entry.by_month.values) == len(entry.swing.values) == 12


def test_solar_grids_are_cleanest_at_noon() -> None:
    day = grid("us-ca").mean_day
    assert min(range(24), key=lambda hour: day[hour]) in range(11, 17)
    assert max(range(24), key=lambda hour: day[hour]) in range(19, 23)
    april, december = grid("us-ca").co2_kg_per_kwh[72:96], grid("us-ca").co2_kg_per_kwh[264:288]
    assert max(april) / min(april) > max(december) / min(december)


def test_sites_stand_on_known_grids_and_those_of_ones_own_pay_space() -> None:
    for place in sites().values():
        assert place.grid is None or grid(place.grid)
        assert (place.space is not None) == (place.kind in {"on_premises", "colocation"})


def test_ranges_of_cost_figures_are_ordered() -> None:
    for entry in cost_entries().values():
        if entry.low is not None and entry.high is not None:
            assert entry.low <= entry.high, entry.id
            if isinstance(entry.value, int | float):
                assert entry.low <= entry.value <= entry.high, entry.id


def test_defaults_that_drive_results_have_ranges() -> None:
    for name in ("onprem.fte_per_cluster", "onprem.fte_cost", "onprem.wacc", "onprem.economic_life", "power.pue"):
        assert cost_entry(name).interval is not None, name
    for name in ("power.electricity", "power.host_kw", "colo.rate", "facility.own_usd_per_kw_month"):
        assert cost_entry(name).interval is not None, name
    for name in ("onprem.maintenance_rate", "onprem.spare_fraction", "onprem.network_storage_share"):
        assert cost_entry(name).interval is not None, name
