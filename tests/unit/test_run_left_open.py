"""A search that time or its largest size ended says so in every month, and withholds what it cannot know."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.cli.runs import _row
from simulator.figures.table import NONE
from simulator.report.decision import capacity_notes
from simulator.report.table import comparison, ordered
from simulator.run.left_open import spans
from simulator.run.simulate import Run, simulate
from simulator.size.found import Limits

TWO = (
    "few: {pools: [{name: dear, site: lambda, gpu: h100-sxm, replicas: 4, price_usd_per_gpu_hour: 40}]}, "
    "many: {pools: [{name: cheap, site: lambda, gpu: h100-sxm, replicas: auto, price_usd_per_gpu_hour: 1}]}"
)
MIXED = (
    "mixed: {{pools: [{{name: cheap, site: lambda, gpu: h100-sxm, replicas: auto, price_usd_per_gpu_hour: {0}}}, "
    "{{name: dear, site: lambda, gpu: h100-sxm, tensor_parallel_size: 2, replicas: auto, price_usd_per_gpu_hour: 3}}], "
    "routing: {{kind: overflow, order: [cheap, dear], when: {{outstanding_per_replica: 8}}}}}}"
)
HEAVY = 22
"""Times the load from month 2 on: several replicas are needed then."""


def run(folder: Path, topologies: str, limits: Limits, study: str = "", **chat_of: float) -> Run:
    given = {"rate_rps": 2.0, "horizon_s": 20.0, "warmup_s": 2.0, **chat_of}
    return simulate(written(folder, chat(topologies, study=study, **given)), folder / "runs", limits=limits)


def said(found: Run, name: str) -> str:
    return " ".join(one["text"] for one in found.summary["topologies"][name]["warnings"])


@pytest.mark.parametrize("most", [1, 64])
def test_a_later_month_whose_search_was_cut_withholds_the_verdict(tmp_path: Path, most: int) -> None:
    """The loser has no size in month 2, or one that may cost less: that is not known, so nobody is cheapest."""
    study = f"months: 2, load_steps: [{{from_month: 2, load: {HEAVY}}}]"
    found = run(tmp_path, TWO, Limits(max_trials=most), study, draws=20)
    rows, _ = comparison(ordered(found.summary))
    labels = [label for label, *_ in rows if label.startswith("cheapest")]
    many = found.summary["topologies"]["many"]
    if most > 1:
        assert many["least_usd_per_month"] is None
        assert found.decision["withheld_by"] == []
        assert "not excluded" not in said(found, "many")
        assert labels == ["cheapest"]
        return
    assert labels == ["cheapest of sizes found"], "beside no verdict nobody is called the cheapest"
    assert not found.table("topologies")["is_cheapest"].any()
    assert _row(found.bundle, "run")["cheapest"] == NONE
    assert many["search"]["claim"] == "proved"
    assert many["least_usd_per_month"] <= many["cost"]["usd_per_month"]
    assert many["least_usd_per_month"] == pytest.approx(730)
    assert found.decision["withheld_by"] == ["many"]
    assert found.summary["verdict"].startswith("No verdict: few meets the SLO")
    assert "many misses" not in found.summary["verdict"]
    assert "sizes that would cost less are not excluded for month 2: " in said(found, "many")
    assert found.decision["topologies"]["many"]["binding"]["kind"] == "search"


@pytest.mark.parametrize(("trials", "held"), [(1, True), (64, False)])
def test_what_one_month_may_have_too_much_of_is_owned_in_all_months_after_it(
    tmp_path: Path, trials: int, held: bool
) -> None:
    """The first month was cut before it knew that one replica would do; the second one's search ended by itself."""
    owned = (
        "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}], staff: {}}, "
        "few: {pools: [{name: dear, site: lambda, gpu: h100-sxm, replicas: 4, price_usd_per_gpu_hour: 90}]}"
    )
    found = run(
        tmp_path, owned, Limits(max_trials=trials), "months: 3, load_steps: [{from_month: 3, load: 1.1}]", rate_rps=60
    )
    own = found.summary["topologies"]["own"]
    assert (own["least_usd_per_month"] is not None) == held
    assert ("not excluded for months 2 to 3" in said(found, "own")) == held


@pytest.mark.parametrize(("usd", "most", "limited"), [(1, 1, True), (1, 4, False), (9, 1, False)])
def test_more_of_a_pool_than_is_looked_at_is_said_where_it_might_cost_less(
    tmp_path: Path, usd: float, most: int, limited: bool
) -> None:
    """Two of the cheap one are enough and cost less than the dear one, unless each costs more than that does."""
    found = run(tmp_path, MIXED.format(usd), Limits(max_replicas=most), rate_rps=60, tpot_s=0.02)
    search = found.summary["topologies"]["mixed"]["search"]
    assert search["limited"] == (["cheap"] if limited else [])
    words = f"more of cheap might cost less: --max-replicas {most} may be raised"
    assert (words in said(found, "mixed")) == limited


@pytest.mark.parametrize(("most", "usd"), [(1, 730.0), (4, None)])
def test_a_loser_that_has_as_many_replicas_as_are_looked_at_withholds_the_verdict(
    tmp_path: Path, most: int, usd: float | None
) -> None:
    """One replica is too little, and two cost a hundredth of the winner: that they do not serve is not known."""
    found = run(tmp_path, TWO, Limits(max_replicas=most), rate_rps=60, tpot_s=0.02)
    many = found.summary["topologies"]["many"]
    assert many["metrics"]["slo_met"] == (usd is None)
    assert many["least_usd_per_month"] == (None if usd is None else 2 * usd)
    assert found.decision["withheld_by"] == ([] if usd is None else ["many"])
    if usd is not None:
        assert "--max-replicas 1 may be raised" in many["search"]["infeasible"]
        assert "many misses the SLO" not in found.summary["verdict"].split(". ")[0]


@pytest.mark.parametrize("most", [1, 4])
def test_the_most_replicas_withhold_nothing_where_no_number_would_do(tmp_path: Path, most: int) -> None:
    """A token takes longer than its limit however few requests there are; the dear one is as slow."""
    found = run(tmp_path, TWO, Limits(max_replicas=most), rate_rps=60, tpot_s=0.001)
    assert found.summary["topologies"]["many"]["search"]["infeasible"].startswith("GPU: ")
    assert found.summary["topologies"]["many"]["least_usd_per_month"] is None
    assert found.summary["verdict"].startswith("No topology meets the SLO")
    assert "was not finished" not in found.summary["verdict"]


@pytest.mark.parametrize(("owned", "held"), [(True, True), (False, False)])
def test_replicas_that_may_stand_in_for_lost_ones_withhold_the_verdict_where_more_cost_more(
    tmp_path: Path, owned: bool, held: bool
) -> None:
    """The only server fails for good: two would do. What a rented one costs that may be lost is not known before."""
    where = "site: datacentre, billing: owned" if owned else "site: lambda, price_usd_per_gpu_hour: 1"
    fails = "server_failures: [{start_s: 8, duration_s: 900}]"
    text = (
        f"one: {{pools: [{{name: a, gpu: h100-sxm, replicas: auto, tensor_parallel_size: {8 if owned else 1}, {where}, "
        f"{fails}}}], staff: {{}}}}, "
        "dear: {pools: [{name: d, site: lambda, gpu: h100-sxm, replicas: 4, price_usd_per_gpu_hour: 90}]}"
    )
    found = run(tmp_path, text, Limits(max_replicas=1))
    assert found.summary["topologies"]["one"]["search"]["infeasible"].startswith(
        "failures: without it 1 replica would do"
    )
    assert found.decision["withheld_by"] == (["one"] if held else [])


THREE = (
    "three: {pools: [{name: a, site: lambda, gpu: h100-sxm, replicas: auto, price_usd_per_gpu_hour: 3}, "
    "{name: b, site: lambda, gpu: l40s, replicas: auto, price_usd_per_gpu_hour: 2}, "
    "{name: c, site: lambda, gpu: a100-80, replicas: auto, price_usd_per_gpu_hour: 2.5}], "
    "routing: {kind: overflow, order: [a, b, c], when: {outstanding_per_replica: 8}}}"
)
CHEAPER = "dear: {pools: [{name: d, site: lambda, gpu: h100-sxm, replicas: 2, price_usd_per_gpu_hour: 2.9}]}"


@pytest.mark.parametrize(("looks", "withheld"), [(1, True), (10_000, False)])
def test_a_search_that_its_points_end_is_not_finished_and_withholds_the_verdict(
    tmp_path: Path, looks: int, withheld: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.size.search._LOOKS", looks)
    found = run(tmp_path, f"{THREE}, {CHEAPER}", Limits(max_replicas=8), rate_rps=60, tpot_s=0.02)
    three = found.summary["topologies"]["three"]
    search = three["search"]
    assert (search["claim"] == "not finished") == withheld == (search["gap_usd"] > 0)
    assert found.decision["withheld_by"] == (["three"] if withheld else [])
    assert ("(--search-seconds sets its time)" in said(found, "three")) == withheld
    if withheld:
        assert search["gap_usd"] == pytest.approx(three["cost"]["usd_per_month"] - search["least_usd"])


@pytest.mark.parametrize(("seconds", "ended"), [(1e-9, True), (120.0, False)])
def test_what_time_kept_from_being_asked_is_named(tmp_path: Path, seconds: float, ended: bool) -> None:
    topologies = TWO.replace("auto", "1").replace("replicas: 4", "replicas: 2")
    text = chat(topologies, study="", rate_rps=2.0, horizon_s=20.0, warmup_s=2.0)
    found = simulate(written(tmp_path, text), tmp_path / "runs", explore_s=seconds)
    left_out = found.decision["time_ended"]
    assert left_out == ended * [
        "the sizes of few, many at other speeds than forecast",
        "the share of capacity used of few, many",
        "the load from which on one costs less than another: few against many, many against few",
    ]
    notes = capacity_notes(found.decision, ["few", "many"])
    assert [note for note in notes if note.startswith("Not found")] == [
        f"Not found, as time ended: {what}." for what in left_out
    ]
    assert len(notes) == (3 if ended else 2)


def test_months_in_words() -> None:
    assert spans([4]) == "month 4"
    assert spans([2, 3, 4, 7, 12, 13]) == "months 2 to 4, 7, 12 to 13"
