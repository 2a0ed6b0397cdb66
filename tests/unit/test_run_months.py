"""Months of whole runs: what grows, what stays, and until when it lasts; and small parts of them by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.report.decision import month_rows, months_notes
from simulator.run.months import Journey, _apart, _changed_hours, _distance, replicas
from simulator.run.simulate import simulate
from simulator.study.decision import Walked
from simulator.study.demand import Load, MonthLoad, Period, When

STUDY = "months: 12, growth_per_year: 3.0"


def growing(study: str = STUDY, rate_rps: float = 15, third: str = "grows", replicas: str = "auto") -> str:
    """A server of one's own, one that is rented, and a third topology."""
    return chat(
        "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}",
        "rent: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: 1}]}",
        f"{third}: {{pools: [{{name: base, site: lambda, gpu: h100-sxm, replicas: {replicas}}}]}}",
        study=study,
        rate_rps=rate_rps,
    )


def test_fleets_that_stay_fail_together_and_one_that_grows_wins(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, growing()), tmp_path)
    found = result.decision["topologies"]
    assert found["own"]["lasts_until"] == found["rent"]["lasts_until"]
    assert 1 <= found["own"]["lasts_until"] < 12
    met = [month["meets"] for month in found["rent"]["months"]]
    assert met == sorted(met, reverse=True)
    assert found["grows"]["lasts_until"] is None
    assert result.decision["winners"] == ["grows"]
    sizes = [month["replicas"][0] for month in found["grows"]["months"]]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1 < sizes[-1]
    usd = [month["usd"] for month in found["grows"]["months"]]
    assert usd[-1] > 1.9 * usd[0]
    own, grows = months_notes(result.decision, ["own", "grows"])
    assert own.startswith(f"own meets the SLO until month {found['own']['lasts_until']}; then chat: ")
    assert grows.startswith("grows meets the SLO in all 12 months: $")
    assert "rent is the same fleet" not in result.summary["verdict"]
    assert result.summary["topologies"]["rent"]["lasts_until"] == found["rent"]["lasts_until"]


def test_without_growth_every_month_is_the_run_itself(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, growing("months: 12, growth_per_year: 0.0")), tmp_path)
    for name, found in result.decision["topologies"].items():
        assert {month["usd"] for month in found["months"]} == {found["usd_per_month"]}
        assert found["usd_per_month"] == result.summary["topologies"][name]["cost"]["usd_per_month"]


@pytest.mark.parametrize("night", ["{name: night, load: 0}", "{name: night, start_hour: 22, load: 0}"])
def test_hours_in_which_nobody_comes_cost_what_stands_and_miss_nothing(tmp_path: Path, night: str) -> None:
    """A class that comes by day alone is not judged at night, at whatever hour that begins; sizes are for who comes."""
    day = f"{{name: day, hours_per_month: 300}}, {night}"
    shares = {}
    for key, periods in (("open", "{name: day}"), ("closed", day)):
        result = simulate(written(tmp_path, growing(f"months: 2, periods: [{periods}]", rate_rps=5)), tmp_path)
        assert all(found["meets"] for found in result.decision["topologies"].values())
        shares[key] = {name: found["cost"] for name, found in result.summary["topologies"].items()}
    for name, cost in shares["closed"].items():
        assert cost["tokens_per_month"] == pytest.approx(shares["open"][name]["tokens_per_month"] * 300 / 730)
    assert shares["closed"]["rent"]["usd_per_month"] == pytest.approx(shares["open"]["rent"]["usd_per_month"], rel=1e-3)
    assert shares["closed"]["rent"]["unused_share"] > 0.5
    assert months_notes(result.decision, ["own"]) == []


@pytest.mark.exhaustive
def test_fleets_that_fail_from_the_first_month_are_said_so(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, growing(rate_rps=90, third="more", replicas="2")), tmp_path)
    (row, *_) = month_rows(result.decision, ["own"])
    assert row[:3] == ["own", "0 of 12 months", "fails in month 1"]
    assert months_notes(result.decision, ["own"])[0].startswith("own misses the SLO in every month, from the first on")
    assert "own misses the SLO from month 1 on: chat: " in result.summary["verdict"]


@pytest.mark.parametrize(("fleets", "same"), [((), True), (("a", "b"), False)])
def test_a_fleet_that_other_settings_or_hours_change_is_not_the_one_that_stays(
    fleets: tuple[str, ...], same: bool
) -> None:
    """At equal sizes: an autoscaler's target, or the hours of a window, that a later month finds anew."""
    months = tuple(Walked(k, (float(k),), (2,), True, 1.0, "", ()) for k in (1, 2))
    assert (Journey(months, (), fleets=fleets).fleet("first") == "first") == same


def test_how_far_a_load_is_from_the_nearest_period_of_a_month() -> None:
    """By day 2 and 6, by night 1 and 3 times as much: another window or time is as far as can be."""
    day, night = Period("day", 365.0, (1.0, 3.0)), Period("night", 365.0, (0.5, 1.5))
    month = MonthLoad((2.0, 2.0), (day, night))
    assert _distance(month, Load((2.0, 6.0))) == 0.0
    assert _distance(month, Load((1.5, 3.5))) == 1.0
    assert _distance(month, Load((4.0, 6.0))) == 2.0
    assert _distance(month, Load((2.0, 6.0), (0.0, 60.0))) == math.inf
    assert _distance(month, Load((2.0, 6.0), when=When(3600.0, 1.0))) == math.inf
    assert _apart(Load((1.0, 5.0)), Load((4.0, 3.0))) == 5.0


def fleet(**pools: tuple[int, int, Any, Any]) -> Any:
    """Pools of (replicas, most replicas, autoscaler, schedule), and an API of 2.5 units."""
    found = [
        SimpleNamespace(name=name, replicas=n, most_replicas=most, autoscaler=scaler, schedule=schedule)
        for name, (n, most, scaler, schedule) in pools.items()
    ]
    api = SimpleNamespace(name="api", provisioned_units=2.5)
    return SimpleNamespace(fleet=SimpleNamespace(pools=found), settings=SimpleNamespace(providers=[api]))


def test_replicas_of_each_pool_and_whole_units_of_an_api() -> None:
    planned = fleet(fixed=(3, 9, None, ()), scaled=(1, 6, object(), ()), timed=(2, 7, None, ((0, 1),)))
    assert replicas(planned, ("timed", "scaled", "absent", "fixed", "api")) == (7, 6, 0, 3, 3)
    assert replicas(planned, ()) == ()


def walked(month: int, *sizes: int) -> Walked:
    return Walked(month, (1.0,), sizes, True, 1.0, "", ())


def test_a_fleet_that_stays_keeps_its_key() -> None:
    stays = (walked(1, 3, 0), walked(2, 3, 0))
    assert Journey(stays, ()).fleet("k") == "k"
    assert Journey((walked(1, 3), walked(2, 0, 3)), ()).fleet("k") == "k", "a pool without replicas is none"
    grown = Journey((walked(1, 3), walked(2, 4)), ()).fleet("k")
    assert grown.startswith("k ")
    assert grown != Journey((walked(1, 3), walked(2, 5)), ()).fleet("k")
    assert Journey(stays, (), fleets=("x", "y")).fleet("k") not in ("k", Journey(stays, (), fleets=("x",)).fleet("k"))


def test_hours_are_told_from_the_month_in_which_they_change() -> None:
    """Months 1 to 6; in month 3 none was searched, so those before it hold."""
    hours = {1: "a", 2: "a", 3: "", 4: "b", 5: "b", 6: "a"}
    growth: Any = SimpleNamespace(hours=lambda asked: hours[asked])
    asks: Any = int
    assert _changed_hours([walked(k) for k in hours], asks, growth) == {4: "b", 6: "a"}
    assert _changed_hours([walked(1)], asks, growth) == {}
