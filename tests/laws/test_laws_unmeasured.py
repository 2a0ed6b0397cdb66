"""Where chance leaves a class without a request in some hours, nothing is said to meet the SLO, nor to miss it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.cli.main import _run
from simulator.decide.months import all_meet, lasts_until, unmeasured, walk
from simulator.decide.standing import met_throughout
from simulator.plan.plan import plan_fleet
from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.run.summary import verdict
from simulator.study.decision import Served
from simulator.study.demand import Growth, Horizon, Load, MonthLoad, Period

API = (
    "api: {providers: [{name: p, prices: [{input: 1.0, output: 1.0}], ttft_s: {median: 0.3}, tpot_s: {median: 0.01}, "
    "data_classes: [internal]}]}"
)
LATE = API.replace("api:", "late:").replace("0.3", "3.0")
OWN = "own: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: auto}]}"
RARE = """    - name: rare
      arrivals: {kind: poisson, rate_rps: 0.2}
      lengths: {isl: 500, osl: 20}
topologies:"""
PERIODS = "periods: [{name: day, hours_per_month: 430}, {name: night, hours_per_month: 300, load: 0.01}]"
SAID = "No verdict: no request of rare was measured in night; a longer run.horizon_s has some."


def text(*topologies: str) -> str:
    found = chat(*topologies, study=f"months: 2, growth_per_year: 0.1, {PERIODS}", tpot_s=1.0, horizon_s=120)
    return found.replace("topologies:", RARE)


def test_every_place_says_that_it_is_not_known(tmp_path: Path) -> None:
    found = simulate(written(tmp_path, text(API, OWN)), tmp_path)
    assert found.summary["verdict"] == SAID
    assert verdict(found.summary["topologies"]) == SAID
    for name, one in found.summary["topologies"].items():
        assert one["unmeasured"] == [{"class": "rare", "period": "night"}]
        assert (met_throughout(one), one["lasts_until"]) == (None, None)
        assert [period["meets"] for period in one["periods"]] == [True, None]
        decided: Any = found.decision["topologies"]
        assert decided[name]["meets"] is None
        assert [month["meets"] for month in decided[name]["months"]] == [None, None]
    assert (found.decision["order"], found.decision["missing"]) == ([], [])
    assert found.bundle is not None
    assert read_bundle(found.bundle).decision["verdict"] == SAID


def test_one_that_misses_is_said_to_miss(tmp_path: Path) -> None:
    """What the day misses is missed, whatever the night would tell; no other is then called the cheapest."""
    found = simulate(written(tmp_path, text(API, LATE)), None)
    assert found.decision["missing"] == ["late"]
    assert str(found.decision["verdict"]).startswith(SAID)
    assert met_throughout(found.summary["topologies"]["late"]) is False
    assert "late misses the SLO from month 1 on: in night, chat: ttft" in str(found.decision["verdict"])


def test_a_plan_and_the_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = written(tmp_path, text(API, OWN))
    found = plan_fleet(loaded)
    assert (found.verdict, found.feasible) == (SAID, False)
    file = str(tmp_path / "scenario.yaml")
    assert _run(["plan", file, "--check"]) == 1
    assert _run(["run", file, "--check", "--out", str(tmp_path)]) == 1
    assert SAID in capsys.readouterr().out.replace("\n", " ")


def test_a_longer_horizon_has_some(tmp_path: Path) -> None:
    longer = text(API, OWN).replace("horizon_s: 120", "horizon_s: 4000").replace("rate_rps: 15}", "rate_rps: 2}")
    found = simulate(written(tmp_path, longer), None)
    assert found.summary["verdict"].startswith("api: the cheapest")


@pytest.mark.parametrize(
    ("answers", "meets", "until"),
    [([True, None], None, None), ([None, False], False, 0), ([True, False], False, 0), ([True, True], True, None)],
)
def test_of_two_periods(answers: list[bool | None], meets: bool | None, until: int | None) -> None:
    """A miss is one, whatever else is not known; without one, what is not known stays so."""
    periods = tuple(Period(str(k), 365.0, part=k) for k in range(2))

    def trial(sizes: tuple[int, ...], load: Load, asked: MonthLoad) -> Served:
        met = answers[load.part]
        return Served(met, 1.0, "", (), unmeasured=() if met is not None else ("rare",))

    walked = walk(Horizon(3, (Growth(),), periods), trial, (1,))
    assert [month.meets for month in walked] == [meets] * 3
    assert lasts_until(walked) == until
    assert unmeasured(walked) == ((("rare", "1"),) if meets is None else ())
    assert all_meet(answers) is meets


def test_months_between_what_is_known_and_what_is_not() -> None:
    """A class that grows has requests from some month on; the months before are not known."""

    def trial(sizes: tuple[int, ...], load: Load, asked: MonthLoad) -> Served:
        known = load.level[0] >= 1.5
        return Served(True if known else None, 1.0, "", (), unmeasured=() if known else ("rare",))

    walked = walk(Horizon(13, (Growth(1.0),)), trial, (1,))
    assert [month.meets for month in walked] == [None] * 8 + [True] * 5  # 2^(7/12) < 1.5 < 2^(8/12)
    assert unmeasured(walked) == (("rare", ""),)


def test_nothing_is_advised_of_a_size_of_which_it_is_not_known_whether_it_meets(tmp_path: Path) -> None:
    """All of a log's requests come before the window; the other class alone would be met by one replica."""
    (tmp_path / "log.csv").write_text("arrival_s,input_tokens,output_tokens\n" + "0.5,100,20\n" * 9)
    trace = f"arrivals: {{kind: trace, file: {tmp_path}/log.csv}}"
    early = f"    - name: early\n      {trace}\n      slo: {{ttft_s: {{p95: 1}}}}\n"
    own = "own: {pools: [{name: p, site: datacentre, gpu: h100-sxm, billing: owned}]}"
    alone = chat(own, study="", rate_rps=2, osl=20, horizon_s=30)
    for text, is_known in ((alone, True), (alone.replace("topologies:", f"{early}topologies:"), False)):
        (found,) = simulate(written(tmp_path, text), None, advise=True).summary["topologies"].values()
        assert bool(found.get("unmeasured")) != is_known
        assert not [each["text"] for each in found["warnings"] if "as written" in each["text"]]
