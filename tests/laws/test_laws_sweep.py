"""A sweep gives at each point what a run gives there, however it is cut into processes and sittings."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.errors import InputError
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.sweep.grid import Sweep, read_sweep
from simulator.sweep.sweep import SweepRun, run_sweep
from simulator.sweep.tasks import Task, perform

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"
RATE = "workload.classes[chat].arrivals.rate_rps"
TP = "topologies.own.pools[base].tensor_parallel_size"


def grid(*axes: str, sets: tuple[str, ...] = ()) -> Sweep:
    return read_sweep(SIZED, axes, sets=("run.replications=1", "topologies.elastic.providers=[]", *sets))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> SweepRun:
    return run_sweep(grid(f"{RATE}=10,20", f"{TP}=1,3"), tmp_path_factory.mktemp("runs"), jobs=1)


def test_rows_are_those_of_runs(swept: SweepRun, tmp_path: Path) -> None:
    sets = ["run.replications=1", f"{RATE}=20"]
    summary = simulate(load_scenario(SIZED, sets=sets), tmp_path).summary["topologies"]
    rows = swept.table[(swept.table[RATE] == 20) & (swept.table[TP] == 1)].set_index("topology")
    assert [*rows.index] == ["own", "two", "elastic"]
    for name, row in rows.iterrows():
        found = summary[name]
        assert row["slo_met"] == found["metrics"]["slo_met"]
        assert row["ttft_p99_s"] == found["metrics"]["ttft_s"]["p99"]
        assert row["usd_per_month"] == found["cost"]["usd_per_month"]


@pytest.mark.exhaustive
def test_rows_are_those_of_runs_over_periods_growth_and_events(tmp_path: Path) -> None:
    """Sizes are searched for all of it, as the run does it: on the scenario's own load one server would do."""
    pool = "replicas: auto, gpu: h100-sxm"
    event = "{name: more, from_month: 4, topology: own, change: {pools: [{name: base, gpu: h200}]}}"
    sets = [
        "run.replications=1",
        "run.horizon_s=20",
        f"topologies={{own: {{pools: [{{name: base, site: datacentre, billing: owned, {pool}}}]}}, "
        f"rent: {{pools: [{{name: base, site: lambda, {pool}}}]}}}}",
        "study.months=5",
        "study.growth_per_year=30",
        "study.periods=[{name: day}, {name: peak, hours_per_month: 90, load: 3}]",
        f"study.events=[{event}]",
    ]
    run = simulate(load_scenario(SIZED, sets=[*sets, f"{RATE}=20"]), tmp_path)
    table = run_sweep(read_sweep(SIZED, [f"{RATE}=20"], sets=sets), tmp_path, jobs=1).table.set_index("topology")
    assert {*table["status"]} == {"ok"}
    for name, found in run.summary["topologies"].items():
        assert len({tuple(month["replicas"]) for month in run.decision["topologies"][name]["months"]}) > 1
        assert table.loc[name, "usd_per_month"] == found["cost"]["usd_per_month"]
        assert table.loc[name, "ttft_p99_s"] == found["metrics"]["ttft_s"]["p99"]


def test_a_row_meets_the_slo_only_if_every_period_and_month_does(tmp_path: Path) -> None:
    """Fleets as written that serve the first month and are outgrown later: met there, and not in the study."""
    sets = ["study.months=4", "study.growth_per_year=1e6", "run.replications=1", "run.horizon_s=20"]
    found = run_sweep(read_sweep(SIZED, [f"{RATE}=2"], sets=sets), tmp_path, jobs=1).table.set_index("topology")
    run = simulate(load_scenario(SIZED, sets=[*sets, f"{RATE}=2"]), tmp_path)
    outgrown = 0
    for name, told in run.summary["topologies"].items():
        months = [month["meets"] for month in run.decision["topologies"][name]["months"]]
        assert found.loc[name, "slo_met"] == all(months)
        assert (None if all(months) else found.loc[name, "lasts_until"]) == told["lasts_until"]
        outgrown += told["metrics"]["slo_met"] and not all(months)
    assert outgrown


def test_a_point_that_fails_is_a_counted_row(swept: SweepRun) -> None:
    assert (swept.points, swept.failed) == (4, 2)
    failed = swept.table[swept.table["status"] == "failed"]
    assert [*failed["topology"]] == ["own", "own"]
    assert set(failed[TP]) == {3}
    assert failed["error"].str.contains("divide").all()
    assert failed["usd_per_month"].isna().all()
    assert len(swept.table) == 12


def test_the_table_is_on_disk(swept: SweepRun) -> None:
    table = pd.read_parquet(swept.bundle / "sweep.parquet")
    assert table.dtypes["error"] == table.dtypes["topology"]
    assert [*table.columns[:4]] == ["point", RATE, TP, "topology"]
    assert table["usd_per_month"].tolist() == pytest.approx(swept.table["usd_per_month"].tolist(), nan_ok=True)
    assert load_scenario(swept.bundle / "scenario.resolved.yaml").scenario.name == "sized"


def test_processes_change_no_byte(swept: SweepRun, tmp_path: Path) -> None:
    told: list[float] = []
    again = run_sweep(grid(f"{RATE}=10,20", f"{TP}=1,3"), tmp_path, 2, lambda words, share: told.append(share))
    assert told == pytest.approx([k / 8 for k in range(1, 9)]), "eight are simulated: two topologies have one tp"
    assert again.bundle.name == swept.bundle.name
    for file in ("sweep.parquet", "manifest.json"):
        assert (again.bundle / file).read_bytes() == (swept.bundle / file).read_bytes()


def counted(monkeypatch: pytest.MonkeyPatch, stop_after: int | None = None) -> list[str]:
    """Topologies that are simulated from now on; after some of them the user presses Ctrl-C."""
    calls: list[str] = []

    def counting(sweep: Sweep, task: Task) -> dict[str, Any]:
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(task.topology)
        return perform(sweep, task)

    monkeypatch.setattr(import_module("simulator.sweep.sweep"), "perform", counting)
    return calls


def test_what_a_point_leaves_as_it_is_is_simulated_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = counted(monkeypatch)
    found = run_sweep(grid(f"{TP}=1,2,4"), tmp_path, jobs=1)
    assert sorted(calls) == ["elastic", "own", "own", "own", "two"]
    assert len(found.table) == 9
    assert len(set(found.table[found.table["topology"] == "two"]["usd_per_month"])) == 1


def test_an_interrupted_sweep_goes_on_where_it_was(
    swept: SweepRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = grid(f"{RATE}=10,20", f"{TP}=1,3")
    counted(monkeypatch, stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(wanted, tmp_path, jobs=1)
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"{swept.bundle.name}.points"
    (kept / f"{'0' * 64}.json").write_text("{}")
    broken = sorted(kept.glob("*.json"))[1]
    broken.write_text("{")
    calls = counted(monkeypatch)
    found = run_sweep(wanted, tmp_path, jobs=1)
    assert found.resumed == 2
    assert len(calls) == 8 - 2
    assert not kept.exists()
    assert (found.bundle / "sweep.parquet").read_bytes() == (swept.bundle / "sweep.parquet").read_bytes()


def test_a_bug_is_a_row_of_its_own_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("simulator.sweep.tasks.evaluate", broken)
    table = run_sweep(grid("run.seed=1"), tmp_path, jobs=1).table
    assert set(table["status"]) == {"bug"}
    assert set(table["error"]) == {"ZeroDivisionError: by zero"}


def test_values_that_make_no_scenario_are_rows_unless_none_does(tmp_path: Path) -> None:
    found = run_sweep(grid("run.horizon_s=20,-1"), tmp_path, jobs=1)
    assert (found.points, found.failed) == (2, 1)
    (row,) = found.table[found.table["status"] == "failed"].to_dict("records")
    assert pd.isna(row["topology"])
    assert "must be greater than 0" in row["error"]
    with pytest.raises(InputError, match="did you mean 'horizon_s'"):
        run_sweep(grid("run.horizont_s=20,30"), tmp_path, jobs=1)
    with pytest.raises(InputError, match="is also given by"):
        run_sweep(grid("run.seed=1,2", sets=("run.seed=3",)), tmp_path, jobs=1)
