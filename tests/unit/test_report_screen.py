"""The first screen of a run says which part of a month a figure is of, and what else of the service was missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.decide.standing import contenders
from simulator.decide.why import sentence
from simulator.report.comment import comparison_comment
from simulator.report.html import render
from simulator.report.memo import memo
from simulator.report.screen import first_screen
from simulator.report.table import ordered, period_words
from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
PERIODS = "study={periods: [{name: busy, hours_per_month: 30}, {name: rest, load: 0.25}]}"
SESSIONS = (
    "workload.classes[0].arrivals={kind: sessions, rate_rps: 4, turns: 4, think_s: 1, user_tokens: 300}",
    "engine.max_model_len=800",
)

GROWS = (
    "engine.max_num_seqs=4",
    "workload.classes[0].arrivals.rate_rps=20",
    "workload.classes[0].slo={ttft_s: {p99: 99}}",
)


def test_headline_and_table_say_of_which_periods_they_are(tmp_path: Path) -> None:
    """Turns beyond 800 tokens are rejected, and those behind them never sent: more of them at the busier load."""
    sets = ["run={horizon_s: 60, warmup_s: 0, seed: 3}", "cost.draws=0", PERIODS, *SESSIONS]
    study = simulate(load_scenario(SCENARIO, sets=sets).only("cloud"), tmp_path)
    summary = study.summary
    found = summary["topologies"]["cloud"]
    busy, rest = (one["attainment"] for one in found["periods"])
    mean = (30 * busy + 700 * rest) / 730
    assert f"{mean:.1%}" != f"{busy:.1%}"
    head = (
        f"No topology meets the SLO; cloud comes closest with {mean:.1%} of the requests, as a mean over the hours of"
    )
    assert summary["verdict"].startswith(head)
    assert sentence(contenders(ordered(summary))).startswith(head), "a summary that is read says the same"
    assert found["metrics"]["slo_attainment"] == pytest.approx(busy)
    note = (
        "Month 1 has busy 30 h + rest 700 h. SLO met and costs are of all 2 periods; other figures are those of busy."
    )
    screen = " ".join(first_screen(summary, summary["verdict"]).split())
    assert note in screen
    text = memo(read_bundle(study.bundle))
    assert note in text
    assert f"<p>{note}</p>" in render(read_bundle(study.bundle))
    assert note in comparison_comment(summary["topologies"], "", [], [], [], [])
    assert "seed 3, 1 replication\n" in text
    unsent = found["metrics"]["unsent_turns"]
    assert unsent > 0
    assert f"all: {unsent} later turns of broken sessions were never sent; they count as not served" in screen


def test_a_month_of_one_period_needs_no_such_words() -> None:
    assert period_words({"a": {"period": "month", "periods": [{}]}, "b": {"period": "month", "periods": []}}) == ""


def test_where_only_the_queue_grows_that_is_what_is_missed() -> None:
    """All that was answered was answered within two minutes, and not all that comes is begun: never "with 100.0 %"."""
    sets = ["run={horizon_s: 60, warmup_s: 0, drain_s: 900, seed: 3}", "cost.draws=0", *GROWS]
    summary = simulate(load_scenario(SCENARIO, sets=sets).only("cloud"), None).summary
    assert summary["topologies"]["cloud"]["metrics"]["slo_attainment"] == 1.0
    head = (
        "No topology meets the SLO; cloud comes closest with all of the requests within their limits, but chat: the "
        "queue grows: "
    )
    assert summary["verdict"].startswith(head)
    assert sentence(contenders(ordered(summary))).startswith(head)


@pytest.mark.parametrize(("threshold", "told"), [(10_000, True), (1, False)])
def test_a_hybrid_that_sends_nothing_on_says_so(tmp_path: Path, threshold: int, told: bool) -> None:
    hybrid = (
        "h: {pools: [{name: gpus, site: lambda, gpu: h100-sxm}], providers: [{name: api, offer: openai/gpt-4o-mini}], "
        f"routing: {{kind: overflow, order: [gpus, api], when: {{outstanding_per_replica: {threshold}}}}}}}"
    )
    found = simulate(written(tmp_path, chat(hybrid, study="months: 1", rate_rps=5, horizon_s=10, warmup_s=1)), None)
    words = "no request goes to api in any month: the pools serve all"
    assert (words in first_screen(found.summary, found.summary["verdict"])) is told
