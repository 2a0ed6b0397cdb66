"""Windows whose hours are left open: the busiest of each length, and the cheapest of those tried."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_cases import written

from simulator.bill.study import study_usd_per_month
from simulator.decide.explore import Answered, Asked, Explorer
from simulator.decide.flips import ASSUMPTIONS
from simulator.errors import InputError
from simulator.plan.plan import plan_fleet
from simulator.plan.table import notes
from simulator.resolve.open_windows import busiest_hours, open_windows, with_hours
from simulator.resolve.topology import plan_topology
from simulator.run.at_their_best import best_at_prices
from simulator.run.growth import NEAR
from simulator.run.loads import loads_of
from simulator.run.simulate import simulate
from simulator.run.sizer import Sizer
from simulator.scenario.week import week_spans
from simulator.schema.clock import WeekWindow
from simulator.simulate.demand import demand_of, whole_month
from simulator.simulate.store import Store
from simulator.size.answer import answer, sized_scenario
from simulator.size.windows import best_window
from simulator.size.words import size_warnings

HOUR_S = 3600.0
SCENARIO = """
schema_version: 1
name: hours
model: llama-3.1-8b-instruct
workload:
  classes:
    - name: chat
      arrivals: {kind: schedule, rate_rps: 0.2, hourly: HOURLY}
      lengths: {isl: 2000, osl: 2}
      data_class: public
      slo: {ttft_s: {p95: 3}}
topologies:
  t:
    pools:
      - {name: gpus, site: aws-us-east, gpu: l40s, replicas: 0, schedule: [{hours: auto, replicas: auto}]}
    providers: [{name: api, prices: [{above_tokens: 0, input: PRICE, output: 1}], ttft_s: {median: 0.3},
                 tpot_s: {median: 0.01}, data_classes: [public]}]
    routing: {kind: windows, windows: [{hours: auto, use: [gpus]}], otherwise: [api]}
study: {months: 1}
run: {horizon_s: 86400, drain_s: 60}
"""


def scenario(folder: Path, first: int, last: int, price: float = 20.0, *sets: str) -> Any:
    hourly = [1.0 if first <= hour < last else 0.0 for hour in range(24)]
    return written(folder, SCENARIO.replace("HOURLY", str(hourly)).replace("PRICE", f"{price:g}"), *sets)


@given(st.lists(st.integers(0, 50), min_size=24, max_size=24))
def test_no_range_of_a_length_is_busier(counts: list[int]) -> None:
    arrivals = np.array(counts, float)
    found = busiest_hours(arrivals)
    assert len(found) == 24
    for length, hours in enumerate(found, 1):
        spans = week_spans(WeekWindow(days="wed", hours=hours))
        within = [int(at // HOUR_S) % 24 for begin, end in spans for at in np.arange(begin, end, HOUR_S)]
        assert len(within) == length
        most = max(sum(counts[(first + k) % 24] for k in range(length)) for first in range(24))
        assert sum(counts[hour] for hour in within) == most


def test_the_cheapest_hours_are_those_in_which_requests_come(tmp_path: Path) -> None:
    """Requests from 9 to 14 alone, an API that is dearer than a GPU: five hours of it, found beside other lengths."""
    loaded = scenario(tmp_path, 9, 14)
    found = best_window(loaded, "t", whole_month(demand_of(loaded)), Store())
    assert found.hours == "9-14"
    assert found.search.claim == f"best of {sum(row['tried'] for row in found.windows)} tried"
    bills = {row["hours"]: row["usd_per_month"] for row in found.windows}
    assert min(bills, key=lambda hours: bills[hours]) == "9-14"
    assert {"0-24", "9-14"} <= set(bills)
    assert found.row()["windows"] == list(found.windows)
    sized = sized_scenario(loaded, [found])
    (pool,) = plan_topology(sized, "t").fleet.pools
    assert pool.schedule is not None
    assert [pool.schedule.replicas_at(hour * HOUR_S) > 0 for hour in (8, 9, 13, 14)] == [False, True, True, False]
    again = answer(with_hours(loaded, "t", "9-14"), "t", whole_month(demand_of(loaded)), Store())
    assert again.search.best is not None
    assert again.search.best.usd_per_month == bills["9-14"]


@pytest.mark.exhaustive
def test_windows_are_raced_and_the_cheapest_has_dearer_ones_on_either_side(tmp_path: Path) -> None:
    """Racing ends what costs more after a replication; it never changes which hours are found."""
    loaded = scenario(tmp_path, 9, 14, 20.0, "run.replications=3")
    periods = whole_month(demand_of(loaded))
    found = best_window(loaded, "t", periods, Store())
    alone = {
        row["hours"]: answer(with_hours(loaded, "t", row["hours"]), "t", periods, Store()).search
        for row in found.windows
    }
    usd = {hours: search.best.usd_per_month for hours, search in alone.items() if search.best}
    assert found.hours == min(usd, key=lambda hours: usd[hours]) == "9-14"
    raced = [row for row in found.windows if "raced out" in row["reason"] or "cost more" in row["reason"]]
    assert raced, "some hours cost so much more that one replication says so"
    assert all(usd[row["hours"]] > usd[found.hours] for row in raced)
    assert {row["word"] for row in raced} == {"dearer"}
    (said,) = (line for line in size_warnings(found) if line.startswith("window"))
    assert said.count("costs more") == len(raced)
    assert "never" not in said, "each of these hours meets the SLO"
    lengths = {
        (int(end) - int(begin) - 1) % 24 + 1 for begin, end in (row["hours"].split("-") for row in found.windows)
    }
    assert {4, 6} <= lengths


def test_hours_of_the_same_bill_are_named(tmp_path: Path) -> None:
    """GPUs that cost nothing by the hour and do all the work: it makes no difference how long they stand idle."""
    free = "topologies.t.pools[gpus].price_usd_per_gpu_hour=0"
    loaded = scenario(tmp_path, 9, 12, 20.0, free)
    found = best_window(loaded, "t", whole_month(demand_of(loaded)), Store())
    bills = {row["hours"]: row["usd_per_month"] for row in found.windows}
    same = [row["hours"] for row in found.windows if row["equal"]]
    assert same == [hours for hours, usd in bills.items() if hours != found.hours and usd == bills[found.hours]]
    assert same
    assert f"the same cost: window {', '.join(same)} h" in size_warnings(found)


@pytest.mark.exhaustive
def test_where_the_api_is_cheap_the_window_is_as_short_as_can_be(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, 9, 14, 0.001)
    found = best_window(loaded, "t", whole_month(demand_of(loaded)), Store())
    bills = [row["usd_per_month"] for row in found.windows]
    assert bills == sorted(bills)
    assert found.hours == found.windows[0]["hours"]


def test_a_topology_without_open_windows_has_the_answer_of_its_sizes(tmp_path: Path) -> None:
    loaded = with_hours(scenario(tmp_path, 9, 14), "t", "9-14")
    assert not open_windows(loaded.scenario.topologies["t"])
    store = Store()
    assert (
        best_window(loaded, "t", whole_month(demand_of(loaded)), store).row()
        == answer(loaded, "t", whole_month(demand_of(loaded)), store).row()
    )


def test_hours_that_cannot_be_found_are_refused_at_their_place(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, 9, 14, 20.0, "run.horizon_s=80000")
    with pytest.raises(
        InputError, match=r"topologies\.t\.routing\.windows\[0\]\.hours: hours are found from a whole day"
    ):
        best_window(loaded, "t", whole_month(demand_of(loaded)), Store())
    loaded = scenario(tmp_path, 9, 14, 20.0, "topologies.t.routing.windows[0].days=sat")
    with pytest.raises(InputError, match="no request arrives by the clock on its days"):
        best_window(loaded, "t", whole_month(demand_of(loaded)), Store())
    with pytest.raises(InputError, match=r"schedule\[0\]\.hours: is open: run finds them"):
        plan_topology(loaded, "t")


@pytest.mark.exhaustive
def test_a_plan_answers_open_hours_with_those_that_the_search_finds(tmp_path: Path) -> None:
    plan = plan_fleet(scenario(tmp_path, 9, 14))
    (row,) = plan.fleets
    assert row["feasible"]
    assert "topologies.t.routing.windows[0].hours=9-14" in row["set"]
    assert "topologies.t.pools[0].schedule[0].hours=9-14" in row["set"]
    assert any("window 9-14 h; " in line for line in notes(plan))
    run = simulate(scenario(tmp_path, 9, 14, 20.0, *row["set"]), tmp_path / "runs")
    assert row["usd_per_month"] == pytest.approx(run.summary["topologies"]["t"]["cost"]["usd_per_month"])


def dearer_from_month_2(folder: Path, **study: Any) -> Any:
    api = scenario(folder, 9, 14, 0.02).scenario.topologies["t"].providers[0]
    prices = [{**price.model_dump(exclude_unset=True), "input": 20.0} for price in api.prices]
    change = {"providers": [{"name": "api", "prices": prices}]}
    event = {"name": "dearer", "from_month": 2, "topology": "t", "change": change}
    return scenario(folder, 9, 14, 0.02, "study=" + json.dumps({**study, "events": [event]}))


@pytest.mark.exhaustive
def test_an_event_opens_the_hours_again(tmp_path: Path) -> None:
    """From month 2 on the API costs a thousand times as much: the GPUs take all hours in which requests come."""
    loaded = dearer_from_month_2(tmp_path, months=2)
    run = simulate(loaded, tmp_path / "runs")
    of_dear_alone = best_window(scenario(tmp_path, 9, 14), "t", whole_month(demand_of(loaded)), Store()).search.best
    assert of_dear_alone is not None
    first, last = (month["usd"] for month in run.decision["topologies"]["t"]["months"])
    assert first < last == pytest.approx(of_dear_alone.usd_per_month)
    words = [each["text"] for each in run.summary["topologies"]["t"]["warnings"]]
    assert "from month 2: dearer, window 9-14 h" in words


@pytest.mark.exhaustive
def test_further_trials_of_a_study_have_the_hours_found_after_the_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for nothing else they answer what the months cost in the run, on the hours and sizes that it has there."""
    asked: list[Explorer] = []

    def trial_flips(study: Explorer, *_: Any) -> list[Any]:
        asked.append(study)
        return []

    monkeypatch.setattr("simulator.run.decision.trial_flips", trial_flips)
    monkeypatch.setattr("simulator.run.decision.price_flips", lambda *known: [])
    monkeypatch.setattr("simulator.run.decision.capacities", lambda *known: {})
    grows = {"months": 2, "load_steps": [{"from_month": 2, "load": 1.5}]}
    run = simulate(dearer_from_month_2(tmp_path, **grows), tmp_path / "runs", explore_s=600.0)
    (study,) = asked
    there = run.decision["topologies"]["t"]
    assert there["months"][1]["event"] == "dearer"
    answer = study.best(Asked("t"))
    assert answer.meets == there["meets"]
    assert answer.usd_per_month == pytest.approx(there["usd_per_month"])


@pytest.mark.exhaustive
def test_hours_are_searched_again_at_other_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the search of a scenario at those prices finds them, and nothing that it simulated is simulated again."""
    store, change = Store(), ASSUMPTIONS["price of tokens"][0]
    prices = "topologies.t.providers[api].prices=[{above_tokens: 0, input: %g, output: %g}]"
    dear, cheap = (scenario(tmp_path, 9, 14, 20.0, prices % each) for each in ((20.0, 9.0), (0.02, 0.009)))
    right = best_window(dear, "t", whole_month(demand_of(dear)), store).search.best
    explorer = Explorer(lambda *asked: Answered(True, None), lambda *asked: Answered(True, None), 100.0)
    search = best_at_prices(cheap, loads_of(cheap), Sizer(store), explorer)
    for room in ("refusal", "stored"):
        monkeypatch.delattr(sys.modules[f"simulator.simulate.{room}"], "simulate_one")
    found = search("t", lambda terms: change(terms, 1000.0))
    assert found is not None
    assert right is not None
    assert study_usd_per_month(change(found.terms, 1000.0), found.uses) == pytest.approx(right.usd_per_month)


@pytest.mark.exhaustive
def test_a_month_that_grows_has_the_hours_that_a_search_of_it_finds(tmp_path: Path) -> None:
    """A few requests at night are the token API's until there are so many that GPUs are worth these hours too."""
    hourly = [1.0 if 9 <= hour < 14 else 0.3 for hour in range(24)]
    text = SCENARIO.replace("HOURLY", str(hourly)).replace("PRICE", "0.35").replace("rate_rps: 0.2", "rate_rps: 0.02")
    growing = "study={months: 3, load_steps: [{from_month: 3, load: 8}]}"
    loaded = written(tmp_path, text, "topologies.t.pools[gpus].price_usd_per_gpu_hour=0.05", growing)
    run = simulate(loaded, tmp_path / "runs")
    months = run.decision["topologies"]["t"]["months"]
    loads = loads_of(loaded)
    right = best_window(loaded, "t", loads.periods(loads.horizon.asked(3)), Store())
    assert right.search.best is not None
    assert (run.summary["topologies"]["t"]["search"]["hours"], right.hours) == ("9-14", "0-24")
    assert months[2]["usd"] <= right.search.best.usd_per_month * (1 + NEAR)
    words = [each["text"] for each in run.summary["topologies"]["t"]["warnings"]]
    assert "from month 3: window 0-24 h" in words
