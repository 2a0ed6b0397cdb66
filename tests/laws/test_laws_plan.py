"""A plan's fleets meet the SLO when they are run, and with one replica fewer they do not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenario_cases import written

from simulator.errors import InputError
from simulator.perf.steptime import ExpectedError
from simulator.plan.options import PlanOptions
from simulator.plan.plan import Plan, _without_error, plan_fleet
from simulator.plan.sizing import planned_at
from simulator.plan.table import notes
from simulator.resolve.topology import PlannedTopology
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.size.assumed import Assumed, under
from tests.parts import few

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"


def own_only(**options: Any) -> PlanOptions:
    return PlanOptions(topologies=("own",), **options)


def slo_met(tmp_path: Path, topology: str, sets: list[str]) -> bool:
    """What `servecast run` says of the topology with these assignments."""
    summary = simulate(load_scenario(SIZED, sets=sets), tmp_path).summary
    return bool(summary["topologies"][topology]["metrics"]["slo_met"])


def fewer(sets: list[str]) -> list[list[str]]:
    """The assignments with one replica fewer in one pool, for each pool that has any."""
    found: list[list[str]] = []
    for k, text in enumerate(sets):
        count = re.fullmatch(r"(.*)\.(replicas|autoscaler\.max)=([1-9]\d*)", text)
        if count:
            n = int(count[3]) - 1
            least = [f"{count[1]}.autoscaler.min={n}"] if count[2] == "autoscaler.max" else []
            found.append([*sets[:k], f"{count[1]}.{count[2]}={n}", *least, *sets[k + 1 :]])
    return found


@pytest.fixture(scope="module")
def found() -> Plan:
    return plan_fleet(load_scenario(SIZED), PlanOptions(error=0.3))


@pytest.fixture(scope="module")
def own(found: Plan) -> dict[str, Any]:
    (row,) = [row for row in found.fleets if row["topology"] == "own"]
    return row


@pytest.mark.parametrize("topology", few(["own", "two", "elastic"], "two", "elastic"))
def test_the_answer_meets_the_slo_when_run_and_one_fewer_does_not(found: Plan, topology: str, tmp_path: Path) -> None:
    (row,) = [row for row in found.fleets if row["topology"] == topology and row["cheapest"]]
    assert sum(pool["replicas"] for pool in row["pools"]) > 2
    assert slo_met(tmp_path, topology, row["set"])
    smaller = fewer(row["set"])
    assert smaller
    assert not any(slo_met(tmp_path, topology, sets) for sets in smaller)


def test_the_figures_are_those_of_a_run(own: dict[str, Any], tmp_path: Path) -> None:
    summary = simulate(load_scenario(SIZED, sets=own["set"]), tmp_path).summary["topologies"]["own"]
    assert own["usd_per_month"] == summary["cost"]["usd_per_month"]
    assert own["slo_attainment"] == summary["metrics"]["slo_attainment"]
    assert own["tpot_p99_s"] == summary["metrics"]["tpot_s"]["p99"]
    assert own["gpus"] == own["pools"][0]["replicas"]


@pytest.mark.exhaustive
def test_every_fleet_of_two_pools_is_minimal(found: Plan, tmp_path: Path) -> None:
    rows = [row for row in found.fleets if row["topology"] == "two"]
    assert min(rows, key=lambda row: float(row["usd_per_month"]))["cheapest"]
    assert sum(row["cheapest"] for row in rows) == 1
    sizes = [[pool["replicas"] for pool in row["pools"]] for row in rows]
    assert len(sizes) > 2
    assert [first for first, _ in sizes] == sorted({first for first, _ in sizes})
    assert [second for _, second in sizes] == sorted({second for _, second in sizes}, reverse=True)
    mixed = next(row for row in rows if all(pool["replicas"] for pool in row["pools"]))
    assert slo_met(tmp_path, "two", mixed["set"])
    assert len(fewer(mixed["set"])) == 2
    assert not any(slo_met(tmp_path, "two", sets) for sets in fewer(mixed["set"]))


def test_slower_steps_need_more_and_quicker_ones_fewer_replicas(found: Plan, own: dict[str, Any]) -> None:
    (low,), (high,) = found.sure["own"]["replicas_low"], found.sure["own"]["replicas_high"]
    assert low < own["pools"][0]["replicas"] < high


def test_no_error_leaves_the_answer(own: dict[str, Any]) -> None:
    sure = plan_fleet(load_scenario(SIZED), own_only(error=0.0)).sure["own"]
    assert sure["replicas_low"] == sure["replicas_high"] == [own["pools"][0]["replicas"]]


def expecting(monkeypatch: pytest.MonkeyPatch, error: ExpectedError | None, calibrated: bool = True) -> dict[str, Any]:
    """How sure a plan is whose step times come with this error."""

    def planned_with(loaded: LoadedScenario, topology: str) -> PlannedTopology:
        planned = planned_at(loaded, topology)
        engines = tuple(
            replace(engine, step_time=replace(engine.step_time, expected_error=error, calibrated=calibrated))
            for engine in planned.engines
        )
        return replace(planned, engines=engines)

    monkeypatch.setattr("simulator.plan.sizing.planned_at", planned_with)
    return plan_fleet(load_scenario(SIZED), own_only()).sure["own"]


def test_a_measured_error_is_the_larger_of_tpot_and_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    sure = expecting(monkeypatch, ExpectedError(ttft=0.9, tpot=0.1, throughput=0.3, basis="4 runs"))
    assert (sure["step_time_error"], sure["basis"]) == (0.3, "4 runs")
    assert sure["replicas_low"] < sure["replicas_high"]


@pytest.mark.parametrize(
    ("calibrated", "basis"),
    few([(False, "uncalibrated"), (True, "measured without a validation")], (False, "uncalibrated")),
)
def test_an_unknown_error_is_said(monkeypatch: pytest.MonkeyPatch, calibrated: bool, basis: str) -> None:
    sure = expecting(monkeypatch, None, calibrated)
    assert sure["basis"] == basis
    assert sure["step_time_error"] is sure["replicas_low"] is sure["replicas_high"] is None


def test_one_uncalibrated_engine_makes_all_of_them_so() -> None:
    engine = planned_at(load_scenario(SIZED), "own").engines[0]
    known = replace(engine, step_time=replace(engine.step_time, expected_error=None, calibrated=True))
    unknown = replace(known, step_time=replace(known.step_time, calibrated=False))
    assert _without_error([known, known]) == "measured without a validation"
    assert _without_error([known, unknown]) == _without_error([unknown, known]) == "uncalibrated"


def test_a_throughput_that_is_given_is_called_so(tmp_path: Path) -> None:
    loaded = load_scenario(SIZED, sets=["engine.throughput={output_tokens_per_s: 3000, input_tokens_per_s: 30000}"])
    plan = plan_fleet(loaded, own_only())
    assert plan.sure["own"]["basis"] == "given"
    assert any(
        "own: step times are given, so their error is not known" in " ".join(line.split()) for line in notes(plan)
    )


def test_spare_replicas_come_on_top(own: dict[str, Any]) -> None:
    (row,) = plan_fleet(load_scenario(SIZED), own_only(spare=2)).fleets
    assert row["set"] == own["set"]
    assert row["pools"][0] == {**own["pools"][0], "spare": 2, "gpus": own["gpus"] + 2}
    assert row["slo_met"]
    assert row["usd_per_month"] > own["usd_per_month"]


@pytest.mark.parametrize(
    ("sets", "options", "words"),
    [
        (
            ["workload.classes[chat].slo={tpot_s: {p50: 0.001}}"],
            own_only(),
            "chat: tpot p50 of an empty engine is",
        ),
        ([], own_only(max_replicas=1), "with at most 1 replica: chat: ttft p99 ≤ 1 s holds for"),
        ([], own_only(tps=(3,)), "divide"),
    ],
)
def test_what_cannot_be_met_comes_with_its_reason(sets: list[str], options: PlanOptions, words: str) -> None:
    found = plan_fleet(load_scenario(SIZED, sets=sets), options)
    (row,) = found.fleets
    assert not row["feasible"]
    assert words in row["reason"]
    assert not found.feasible
    assert found.verdict == "No fleet meets the SLO."


def test_hardware_is_tried_in_every_combination() -> None:
    found = plan_fleet(load_scenario(SIZED), own_only(gpus=("h100-sxm", "h200"), tps=(1, 2)))
    assert [(row["gpu"], row["tp"]) for row in found.fleets] == [
        ([gpu], [tp]) for gpu in ("h100-sxm", "h200") for tp in (1, 2)
    ]
    assert all(row["feasible"] for row in found.fleets)
    assert {"topologies.own.pools[base].gpu=h200", "topologies.own.pools[base].tensor_parallel_size=2"} < set(
        found.fleets[3]["set"]
    )
    assert found.fleets[3]["gpus"] == 2 * found.fleets[3]["pools"][0]["replicas"]


def test_options_that_name_nothing_are_refused_together() -> None:
    options = PlanOptions(topologies=("ovn",), gpus=("h1oo-sxm",), tps=(0,), max_replicas=0, spare=-1, error=1.0)
    with pytest.raises(InputError) as caught:
        plan_fleet(load_scenario(SIZED), options)
    assert [problem.file for problem in caught.value.problems] == [
        "--topology",
        "--gpu",
        "--max-replicas",
        "--spare",
        "--tensor-parallel-size",
        "--error",
    ]
    with pytest.raises(InputError, match="did you mean 'base'"):
        plan_fleet(load_scenario(SIZED), PlanOptions(pools=("bse",)))


@pytest.mark.parametrize("most", [64, 1])
def test_of_three_pools_the_cheapest_is_found_and_what_is_left_open_is_said(most: int) -> None:
    """A pool that is twice as dear by the GPU gets none, unless one replica of each is all that a plan may look at."""
    pools = ", ".join(
        f"{{name: {name}, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: {usd}}}"
        for name, usd in (("a", 4), ("b", 2), ("c", 6))
    )
    third = f"topologies.own.pools=[{pools}]"
    plan = plan_fleet(load_scenario(SIZED, sets=[third]), own_only(max_replicas=most))
    (row,) = plan.fleets
    counts = [pool["replicas"] for pool in row["pools"]]
    left = [line for line in notes(plan) if "could be saved" in line]
    if most == 64:
        assert counts[0] == counts[2] == 0 < counts[1]
        assert left == []
    else:
        assert counts[1] == 1 < sum(counts)
        assert left != []


def test_scaled_step_times_take_as_much_longer() -> None:
    loaded = load_scenario(SIZED)
    planned, demand = planned_at(loaded, "own"), demand_of(loaded)
    step = planned.engines[0].step_time
    double = step.scaled(2.0)
    assert np.array_equal(double.token_time_s, 2 * step.token_time_s)
    assert double.decode_attn_s == 2 * step.decode_attn_s
    subject = subject_of(planned)
    quick = under(subject, Assumed(0.5), demand)
    assert np.array_equal(quick.fleet.pools[0].step_time.seq_time_s, 0.5 * step.seq_time_s)
    assert quick.peaks[0].output_tokens_per_gpu_s == 2 * subject.peaks[0].output_tokens_per_gpu_s
    assert under(subject, Assumed(2.0), demand).peaks == subject.peaks


@pytest.mark.exhaustive
def test_a_plan_sizes_for_every_period_and_pays_for_all(tmp_path: Path) -> None:
    """The peak decides how many, the month's hours what they cost: both as a run of these sizes says."""
    periods = "study.periods=[{name: ordinary}, {name: peak, hours_per_month: 80, load: 1.6}]"
    (plain,) = plan_fleet(load_scenario(SIZED), own_only()).fleets
    (row,) = plan_fleet(load_scenario(SIZED, sets=[periods]), own_only()).fleets
    assert row["pools"][0]["replicas"] > plain["pools"][0]["replicas"]
    told = simulate(load_scenario(SIZED, sets=[periods, *row["set"]]), tmp_path).summary["topologies"]["own"]
    assert told["lasts_until"] is None
    assert row["usd_per_month"] == pytest.approx(told["cost"]["usd_per_month"], rel=1e-12)
    assert row["slo_attainment"] == told["metrics"]["slo_attainment"]
    smaller = simulate(load_scenario(SIZED, sets=[periods, *plain["set"]]), tmp_path).summary["topologies"]["own"]
    assert smaller["lasts_until"] == 0


def test_pools_that_prefill_and_decode_are_sized_together() -> None:
    pools = "topologies.own.pools=[{name: p, role: prefill, %s}, {name: d, role: decode, %s}]"
    hardware = "site: datacentre, gpu: h100-sxm, billing: owned"
    rate = "workload.classes[chat].arrivals.rate_rps=60"
    found = plan_fleet(load_scenario(SIZED, sets=[pools % (hardware, hardware), rate]), own_only(error=0.0))
    assert found.feasible
    assert all(pool["replicas"] > 0 for row in found.fleets for pool in row["pools"])


STORE = Store()
"""What these plans and runs simulate alike is simulated once."""


def planned(loaded: LoadedScenario, month: int | None = None) -> Plan:
    return plan_fleet(loaded, own_only(error=0.0, month=month), store=STORE)


def test_a_plan_is_for_the_month_that_binds_and_says_which(tmp_path: Path) -> None:
    """The fleets are those of a study that has this load from its first month on, and what a run has in that month."""
    grows = ["study.months=13", "study.growth_per_year=1.0"]
    found = planned(load_scenario(SIZED, sets=grows))
    doubled = load_scenario(SIZED, sets=["study.months=13", "study.load_steps=[{from_month: 1, load: 2}]"])
    (row,), (right,) = found.fleets, planned(doubled).fleets
    assert found.month.number == 13
    assert row["pools"] == right["pools"]
    assert row["usd_per_month"] == right["usd_per_month"]
    assert "own: the cheapest fleet that meets the SLO in month 13" in found.verdict
    base = "{pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: auto}]}"
    run = simulate(
        load_scenario(SIZED, sets=[*grows, f"topologies={{own: {base}}}", "run.replications=2"]), tmp_path, store=STORE
    )
    assert run.decision["topologies"]["own"]["months"][-1]["replicas"] == [row["pools"][0]["replicas"]]
    assert "".join(notes(found)).startswith("! all: for month 13 of 13, the busiest, with 2 times the load of month 1")
    falls = planned(load_scenario(SIZED, sets=["study.growth_per_year=-0.5"]))
    first = planned(load_scenario(SIZED, sets=grows), month=1)
    alike = planned(load_scenario(SIZED, sets=["study.months=13"]))
    assert first.fleets == alike.fleets
    assert [row["pools"] for row in falls.fleets] == [row["pools"] for row in alike.fleets]
    assert (falls.month.number, first.month.number, alike.beyond) == (1, 1, "")
    assert not any("month 1 of" in line for line in notes(alike))


def test_a_plan_is_for_topologies_as_events_have_left_them_by_then() -> None:
    event = "study.events=[{name: new, from_month: 2, topology: own, change: {pools: [{name: base, gpu: h200}]}}]"
    now = planned(load_scenario(SIZED, sets=[event]))
    then = planned(load_scenario(SIZED, sets=[event]), month=2)
    alike = plan_fleet(load_scenario(SIZED, sets=["topologies.own.pools[base].gpu=h200"]), own_only(error=0.0))
    assert now.fleets == planned(load_scenario(SIZED)).fleets
    assert "without new of month 2 (own)" in now.beyond
    assert [{**row, "set": []} for row in alike.fleets] == [{**row, "set": []} for row in then.fleets]
    replicas = then.fleets[0]["pools"][0]["replicas"]
    assert then.fleets[0]["set"] == [f"study.events[new].change.pools[base].replicas={replicas}"]
    assert "own as new leaves it in month 2" in then.beyond


@pytest.mark.parametrize("month", [0, 37])
def test_a_plan_is_for_a_month_of_the_study(month: int) -> None:
    with pytest.raises(InputError, match="the study has months 1 to 36"):
        plan_fleet(load_scenario(SIZED), own_only(month=month))


def test_what_a_plan_prints_gives_a_run_its_fleet_where_events_have_changed_it(tmp_path: Path) -> None:
    """Size and bill of the month, whether or not the event speaks of the pool that was sized."""
    dearer = "{name: dearer, from_month: 2, topology: own, change: {staff: {base_fte: 2}}}"
    newer = (
        "{name: newer, from_month: 2, topology: elastic, change: {pools: [{name: rented, site: aws-us-east, gpu: h200, "
        "price_usd_per_gpu_hour: 5, autoscaler: null, replicas: auto}]}}"
    )
    text = SIZED.read_text() + f"study: {{months: 2, events: [{dearer}, {newer}]}}\n"
    sets = ["run.horizon_s=20", "run.replications=1"]
    options = PlanOptions(topologies=("own", "elastic"), month=2, error=0.0)
    found = plan_fleet(written(tmp_path, text, *sets), options, store=STORE)
    cheapest = [row for row in found.fleets if row["cheapest"]]
    lines = [text for row in cheapest for text in row["set"]]
    assert {text.split(".change")[0] for text in lines} == {"study.events[dearer]", "study.events[newer]"}
    assert all(any(text in note for note in notes(found)) for text in lines)
    run = simulate(written(tmp_path, text, *sets, *lines), tmp_path, store=STORE).decision["topologies"]
    for row in cheapest:
        month = run[row["topology"]]["months"][1]
        assert month["replicas"] == [row["pools"][0]["replicas"]]
        assert month["usd"] == pytest.approx(row["usd_per_month"], rel=1e-9)


BASE = {"name": "base", "site": "datacentre", "gpu": "h100-sxm", "billing": "owned", "replicas": "auto"}


@pytest.mark.parametrize("others", [{}, {"own": {"pools": [BASE]}}])
def test_the_cheapest_fleet_of_a_plan_is_that_of_a_run(others: dict[str, Any]) -> None:
    """Beside a token API the smallest fleet that meets the SLO is the dearest: each replica spares paid tokens.

    On a server that is paid for anyway replicas cost their electricity alone, so it is worth filling.
    """
    slo = {"ttft_s": {"p95": 2.0}, "tpot_s": {"p95": 0.05}}
    chat = {"name": "chat", "arrivals": {"kind": "poisson", "rate_rps": 20}, "lengths": {"isl": 500, "osl": 100}}
    rule = {"kind": "overflow", "order": ["base", "api"], "when": {"outstanding_per_replica": 4}}
    hybrid = {"pools": [BASE], "providers": [{"name": "api", "offer": "openai/gpt-4.1"}], "routing": rule}
    study = {
        "schema_version": 1,
        "name": "beside",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 4096},
        "workload": {"classes": [{**chat, "slo": slo}]},
        "topologies": {"hybrid": hybrid, **others},
        "run": {"horizon_s": 60, "keep_requests": False},
    }
    found = plan_fleet(load_scenario(study), PlanOptions(error=0.0), store=STORE)
    run = simulate(load_scenario(study), None, store=STORE)
    rows = [row for row in found.fleets if row["topology"] == "hybrid"]
    (cheapest,) = (row for row in rows if row["cheapest"])
    smallest = rows[0]
    assert smallest["pools"][0]["replicas"] == 1
    assert cheapest["pools"][0]["replicas"] > 1
    assert cheapest["usd_per_month"] < smallest["usd_per_month"]
    summary = run.summary["topologies"]["hybrid"]
    assert cheapest["usd_per_month"] == summary["cost"]["usd_per_month"]
    assert cheapest["pools"][0]["size"] == summary["search"]["sizes"]["base"]
    assert cheapest["claim"] == summary["search"]["claim"]
    assert found.verdict.split(":")[0] == run.decision["order"][0]
