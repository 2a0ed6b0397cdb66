"""Laws of a cascade: everybody begins at the first target, what fails its check goes on, and both are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import STEP_S, Served, Source, evenly, fleet, poisson, pool, provider, serve

from simulator.fleet.records import RECORD, Escalation, Status
from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.state import CALL_INPUT, CALL_OUTPUT, CALLS, WORK_COUNTS
from simulator.metrics.laws import check_causality
from simulator.metrics.parts import parts_s
from simulator.metrics.slo import latencies
from simulator.rng import stream
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, ClassSpec, FleetSpec, Outages, PoolSpec, ProviderSpec, RoutingSpec
from simulator.workload.requests import Requests

SMALL, LARGE = pool("small", replicas=2), pool("large", network_s=0.03)


def cascade(
    pools: tuple[PoolSpec, ...] = (SMALL, LARGE),
    providers: tuple[ProviderSpec, ...] = (),
    order: tuple[int, int] = (0, 1),
    classes: tuple[ClassSpec, ...] | None = None,
    **rule: float,
) -> FleetSpec:
    return fleet(pools, providers, RoutingSpec(TargetRouting.CASCADE, order, cascade=CascadeSpec(**rule)), classes)


def traffic(n: int = 400, rate: float = 4.0, **columns: np.ndarray) -> Requests:
    return poisson(stream(7, "cascade"), n, rate, **columns)


def output_tokens(run: Served, k: int) -> int:
    replicas = run.plane.engines.replicas
    return int(replicas["output_tokens"][replicas["pool"] == k].sum())


def test_a_cascade_that_escalates_nothing_and_hides_nothing_is_its_first_target() -> None:
    plain = serve(fleet((SMALL,)), traffic()).by_arrival
    found = serve(cascade(share=0.0, streams=True), traffic()).by_arrival
    for name in RECORD.names or ():
        assert np.array_equal(found[name], plain[name], equal_nan=True), name


@pytest.mark.parametrize(("check", "check_s"), [({}, 0.0), ({"check_s": 0.0}, 0.0), ({"check_s": 1.5}, 1.5)])
def test_an_answer_takes_both_answers_and_its_check(check: dict[str, float], check_s: float) -> None:
    """Alone: five steps at the first, the check, which takes no time unless told, and five steps at the second."""
    (record,) = serve(cascade((SMALL, pool("large")), share=1.0, **check), evenly(1, 0.0, isl=10, osl=5)).records
    assert record["finish_s"] - record["arrival_s"] == pytest.approx(5 * STEP_S + check_s + 5 * STEP_S)


def test_the_share_goes_on_and_both_answers_are_computed() -> None:
    run = serve(cascade(share=0.3, check_s=0.2), traffic())
    records = run.by_arrival
    check_causality(records)
    on = records["escalated"] == Escalation.ESCALATED
    assert (records["status"] == Status.COMPLETED).all()
    assert abs(on.sum() - 0.3 * len(records)) < 5 * np.sqrt(len(records) * 0.3 * 0.7)
    assert (records["target"] == on).all()
    assert output_tokens(run, 0) == records["osl"].sum()
    assert output_tokens(run, 1) == records["osl"][on].sum()


def test_complex_requests_go_on_and_no_others() -> None:
    complexity = stream(8, "cascade").random(400).astype(np.float32)
    records = serve(cascade(max_complexity=0.75), traffic(complexity=complexity)).by_arrival
    assert ((records["escalated"] == Escalation.ESCALATED) == (complexity > np.float32(0.75))).all()


def test_times_add_up_and_an_answer_is_held_back_until_its_check() -> None:
    requests = evenly(40, 3.0, isl=20, osl=10)
    records = serve(cascade(share=0.5, check_s=0.2), requests).by_arrival
    on = records["escalated"] == Escalation.ESCALATED
    assert 0 < on.sum() < len(on)
    e2e_s = latencies(records)["e2e_s"]
    assert parts_s(records).sum(axis=0) == pytest.approx(e2e_s)
    alone_s = 10 * STEP_S
    first, second = records[~on], records[on]
    assert e2e_s[~on] == pytest.approx(alone_s + 0.2)
    assert (first["first_token_s"] == first["finish_s"]).all()
    assert second["checked_s"] - second["arrival_s"] == pytest.approx(alone_s + 0.2)
    assert second["scheduled_s"] == pytest.approx(second["checked_s"])
    assert e2e_s[on] == pytest.approx(2 * alone_s + 0.2 + 2 * LARGE.network_s)


def test_data_that_may_not_go_on_keeps_its_first_answer() -> None:
    classes = (ClassSpec("a", (True, False)), ClassSpec("b", (True, True)))
    records = serve(cascade(share=1.0, classes=classes), traffic()).by_arrival
    inside = records["class_id"] == 0
    assert (records["escalated"] == np.where(inside, Escalation.DENIED, Escalation.ESCALATED)).all()
    assert (records["target"] == ~inside).all()
    assert (records["status"] == Status.COMPLETED).all()


def test_what_the_first_cannot_hold_begins_at_the_second_and_is_not_checked() -> None:
    small = replace(SMALL, engine=replace(SMALL.engine, max_model_len=50))
    records = serve(cascade((small, LARGE), share=1.0), traffic()).by_arrival
    direct = records["isl"] + records["osl"] > 50
    assert 0 < direct.sum() < len(records)
    assert (records["escalated"] == np.where(direct, Escalation.NONE, Escalation.ESCALATED)).all()
    assert np.array_equal(np.isnan(records["checked_s"]), direct)


@pytest.mark.parametrize("limits", [{"requests_per_minute": 60.0}, {"tokens_per_minute": 2000.0}])
def test_an_api_that_has_no_room_leaves_the_first_answer(limits: dict[str, float]) -> None:
    api = provider(max_wait_s=0.0, error_probability=0.0, **limits)
    records = serve(cascade((SMALL,), (api,), share=1.0), traffic()).by_arrival
    assert (records["status"] == Status.COMPLETED).all()
    denied = records["escalated"] == Escalation.DENIED
    assert 0 < denied.sum() < len(records)
    assert (records["target"] == np.where(denied, 0, 1)).all()


def test_an_api_as_first_target_is_paid_for_what_goes_on() -> None:
    run = serve(cascade((LARGE,), (provider(),), order=(1, 0), share=0.4), traffic())
    records = run.by_arrival
    calls, thrown = run.plane.calls()[0].sum(axis=(0, 1)), run.plane.work()[1].sum(axis=0)
    on = records["escalated"] == Escalation.ESCALATED
    assert calls[CALL_INPUT] == records["isl"].sum()
    assert calls[CALL_OUTPUT] == records["osl"].sum()
    assert calls[CALLS] == len(records)
    assert thrown[WORK_COUNTS.index("thrown_input")] == records["isl"][on].sum()
    assert thrown[WORK_COUNTS.index("thrown_output")] == records["thrown_tokens"].sum() == records["osl"][on].sum()
    assert output_tokens(run, 0) == records["osl"][records["escalated"] == Escalation.ESCALATED].sum()


def test_a_lost_replica_breaks_no_stream_that_nobody_has_seen() -> None:
    requests = evenly(8, 0.01, isl=5, osl=30)
    for streams, status in ((False, Status.COMPLETED), (True, Status.FAILED)):
        run = serve(cascade(share=0.0, streams=streams), requests, lose=(0, 1.0))
        ended = run.by_arrival
        check_causality(ended)
        assert set(ended["status"]) == {Status.COMPLETED, status}
        assert (ended["retries"].sum() > 0) == (not streams)


def test_while_the_first_api_is_down_the_second_target_answers_and_nobody_notices_a_broken_stream() -> None:
    down = Outages(windows=((20.0, 40.0),))
    batches: list[np.ndarray] = []
    spec = cascade((pool("large", replicas=4),), (provider(outages=down),), order=(1, 0), share=0.2)
    simulate_fleet(
        spec, Source((traffic(),)), horizon_s=100.0, drain_s=100.0, warmup_s=0.0, seed=1, sink=batches.append
    )
    records = np.concatenate(batches)
    check_causality(records)
    assert (records["status"] == Status.COMPLETED).all()
    during = (records["arrival_s"] >= 20.0) & (records["arrival_s"] < 40.0)
    assert during.sum() > 10
    assert (records["target"][during] == 0).all()
    assert (records["escalated"][during] == Escalation.NONE).all()
    assert records["retries"].sum() > 0


@pytest.mark.parametrize("until_s", [0.3, 0.7, 1.1, 1.6])
def test_whenever_a_run_ends_everybody_is_counted_once_and_unseen_tokens_are_not_delivered(until_s: float) -> None:
    records = serve(cascade(share=0.5, check_s=0.5), evenly(40, 0.02, isl=5, osl=8), until_s=until_s).records
    assert len(np.unique(records["request"])) == len(records) > 0
    open_ended = records[records["status"] == Status.UNFINISHED]
    held = open_ended["escalated"] != Escalation.ESCALATED
    assert (open_ended["generated"][held] == 0).all()
    assert np.isnan(open_ended["first_token_s"][held]).all()
