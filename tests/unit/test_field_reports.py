"""What people reported from production, as scenarios: each goes the way that was reported."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.run.simulate import Run, simulate
from simulator.scenario.load import load_scenario

FIELD = Path(__file__).resolve().parents[2] / "scenarios/field"
Runs = Callable[..., Run]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A scenario of the folder, with assignments; each is run once."""
    folder = tmp_path_factory.mktemp("field")

    @cache
    def found(name: str, *sets: str) -> Run:
        return simulate(load_scenario(FIELD / f"{name}.yaml", sets=sets), out=folder)

    return found


def metrics(run: Run, topology: str) -> dict[str, Any]:
    found: dict[str, Any] = run.summary["topologies"][topology]["metrics"]
    return found


def rows(run: Run, topology: str, class_: str | None = None) -> pd.DataFrame:
    """Requests with their latencies, in order of arrival."""
    table = run.table("requests")
    table = table[(table["topology"] == topology) & ((table["class"] == class_) | (class_ is None))]
    return table.assign(
        ttft_s=table["first_token_s"] - table["arrival_s"],
        tpot_s=(table["finish_s"] - table["first_token_s"]) / (table["generated"] - 1),
    ).sort_values("request")


def test_each_report_names_its_source_and_stands_on_the_page() -> None:
    page = (FIELD.parents[1] / "docs/field-reports.md").read_text()
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert listed == {path.stem for path in FIELD.glob("*.yaml")}
    for path in FIELD.glob("*.yaml"):
        comment = "".join(line for line in path.read_text().splitlines(keepends=True)[1:6] if line.startswith("#"))
        assert "https://" in comment, path
        assert re.search(r"\b20\d\d-\d\d", comment), path


@pytest.mark.parametrize("name", ["long-prompts", "preemption-storm"])
def test_a_prompt_admitted_by_its_first_chunk_is_preempted_again_and_again(field: Runs, name: str) -> None:
    """The last prompt does not fit beside the others: it starves them and comes no sooner for it."""
    run = field(name)
    first, whole = rows(run, "first_chunk"), rows(run, "whole_prompt")
    assert first["preemptions"].iloc[:-1].sum() == 0
    assert first["preemptions"].iloc[-1] > 20
    assert whole["preemptions"].sum() == 0
    assert first["tpot_s"].iloc[0] > 5 * whole["tpot_s"].iloc[0]
    assert first["first_token_s"].iloc[-1] > 3 * whole["first_token_s"].iloc[-1]


def test_output_in_a_preemption_storm_is_a_token_for_each_chunk(field: Runs) -> None:
    """Reported: 1.5 tokens/s per GPU. Each step of the storm is full of the fifth prompt, so that the four who decode
    get one token each in the time that the token budget takes."""
    run = field("preemption-storm")
    storm = rows(run, "first_chunk").iloc[:4]
    per_gpu = (1.0 / storm["tpot_s"]).sum() / 8
    assert 0.5 < per_gpu < 3.0
    alone = rows(run, "whole_prompt").iloc[0]
    budget, prompt = 16_384, 100_000
    assert storm["tpot_s"].iloc[3] < 2 * alone["ttft_s"] / (prompt / budget) < 6 * storm["tpot_s"].iloc[3]


def test_a_short_prompt_waits_for_a_long_one_unless_there_is_a_threshold(field: Runs) -> None:
    run = field("short-behind-long")
    behind, beside = rows(run, "no_threshold", "short"), rows(run, "threshold", "short")
    long_, longer = rows(run, "no_threshold", "long"), rows(run, "threshold", "long")
    assert (behind["first_token_s"] >= long_["first_token_s"].item()).all()
    assert (beside["first_token_s"] < long_["first_token_s"].item() / 2).all()
    assert 1.0 <= longer["first_token_s"].item() / long_["first_token_s"].item() < 1.1


def test_priority_is_a_place_in_the_queue_and_no_seat(field: Runs) -> None:
    """Who is urgent comes before all who wait, but not before somebody who runs has ended."""
    run = field("priorities")
    by_arrival, first, spare = (rows(run, name, "urgent") for name in ("by_arrival", "by_priority", "seats_to_spare"))
    assert metrics(run, "by_priority")["preemptions"] == 0
    assert by_arrival["ttft_s"].mean() > 10 * first["ttft_s"].mean() > 50 * spare["ttft_s"].mean()
    ends = np.sort(rows(run, "by_priority")["finish_s"])
    waited = first[(first["arrival_s"] > 30.0) & (first["ttft_s"] > 3 * spare["ttft_s"].max())]
    assert len(waited) > 5
    step_s = 0.02
    for arrived_s, seated_s in zip(waited["arrival_s"], waited["scheduled_s"], strict=True):
        assert ((ends > arrived_s - step_s) & (ends < seated_s + step_s)).any()


def test_an_autoscaler_on_waiting_swings_where_the_load_is_constant(field: Runs) -> None:
    run = field("autoscaler-on-waiting")
    waiting, outstanding = (run.summary["topologies"][name] for name in ("waiting", "outstanding"))
    (low, high), (least, most) = waiting["replicas"], outstanding["replicas"]
    assert high - low > 2 * (most - least)
    assert waiting["pools"][0]["launches"] > 3 * outstanding["pools"][0]["launches"]
    assert waiting["metrics"]["ttft_s"]["p95"] > 10 * outstanding["metrics"]["ttft_s"]["p95"]


@pytest.mark.parametrize(("topology", "cold_s"), [("reported", 277.0), ("quarter", 69.25)])
def test_what_waits_for_a_cold_start_is_rate_times_time(field: Runs, topology: str, cold_s: float) -> None:
    """Of 2 requests/s, as many as come between the first and its first token."""
    table = rows(field("cold-starts"), topology)
    first = table.iloc[0]
    assert cold_s < first["ttft_s"] < cold_s + 16.0
    waiting = (table["arrival_s"] < first["scheduled_s"]).sum()
    expected = 2.0 * (first["scheduled_s"] - first["arrival_s"])
    assert abs(waiting - expected) < 4 * expected**0.5


def test_affinity_makes_one_replica_hot(field: Runs) -> None:
    hottest, cached = {}, {}
    for load, sets in (("low", ()), ("high", ("workload.classes[chat].arrivals.rate_rps=40", "run.horizon_s=200"))):
        run = field("hot-replica", *sets)
        for name in ("first_piece", "longest_match", "by_session"):
            hottest[name, load] = rows(run, name)["replica"].value_counts(normalize=True).iloc[0]
            cached[name, load] = metrics(run, name)["cached_share"]
    assert hottest["first_piece", "low"] > 0.6
    assert hottest["longest_match", "low"] > 0.6
    assert hottest["longest_match", "high"] < 0.45
    assert hottest["by_session", "low"] < 0.35
    assert min(cached["longest_match", "low"], cached["longest_match", "high"], cached["by_session", "low"]) > 0.75
    assert cached["first_piece", "high"] < 0.5


@pytest.mark.exhaustive
def test_what_the_gpu_gave_up_comes_from_the_memory_of_the_host(field: Runs) -> None:
    """400 beginnings of 4,096 tokens, about a fourth of which the GPU keeps: of 94 % that could be found at most."""
    run = field("host-memory")
    alone, host = metrics(run, "gpu_alone"), metrics(run, "host_256")
    assert alone["cached_share"] < 0.35
    assert 0.8 < host["cached_share"] <= 4096 / 4352
    assert host["ttft_s"]["p50"] < alone["ttft_s"]["p50"] / 2
    pools = {name: run.summary["topologies"][name]["pools"][0] for name in ("gpu_alone", "host_256")}
    assert pools["host_256"]["loaded_tokens"] > 1_000_000
    assert not pools["gpu_alone"].get("loaded_tokens")


def test_the_longer_the_notice_the_fewer_answers_are_lost(field: Runs) -> None:
    """Half of the answers take 37 s or more: two minutes are enough for all, 30 s for most; without notice all in
    flight are lost."""
    run = field("spot-notices")
    lost = {}
    for seconds in (120, 30, 0):
        table = rows(run, f"notice_{seconds}")
        lost[seconds] = int((table["status"] != "completed").sum())
        assert run.summary["topologies"][f"notice_{seconds}"]["pools"][0]["reclaims"] > 5
    assert lost[120] == 0
    assert 0 < lost[30] < lost[0] / 3


def test_drafts_pay_for_one_user_and_not_in_a_batch_of_256(field: Runs) -> None:
    gain = {}
    for users in (1, 256):
        run = field("drafts-by-batch", f"workload.classes[chat].arrivals.concurrency={users}")
        per_s = [metrics(run, name)["output_tokens_per_s"] for name in ("drafts", "no_drafts")]
        gain[users] = per_s[0] / per_s[1]
    assert gain[1] > 1.3
    assert gain[256] < 0.9


def test_what_drafts_gain_by_tensor_parallelism_depends_on_what_of_them_it_shortens(field: Runs) -> None:
    r"""The report's four speeds give the tokens of a round, a, and what it takes beyond a step, c, if it is the same on
    one GPU and on four: with speeds v without and w with drafts

    .. math:: a = (1/v_1 - 1/v_4) / (1/w_1 - 1/w_4), \quad c = a / w_1 - 1 / v_1

    With that c our own steps gain as reported; with drafts whose kernels are split the gain stays what it is."""
    without, with_drafts = (21.0, 61.0), (30.0, 59.0)
    tokens = (1 / without[0] - 1 / without[1]) / (1 / with_drafts[0] - 1 / with_drafts[1])
    constant_s = tokens / with_drafts[0] - 1 / without[0]
    assert tokens == pytest.approx(1.906, abs=0.001)
    assert constant_s == pytest.approx(0.0159, abs=0.0001)

    run = field("eagle-by-tp")
    names = ("one", "one_eagle", "four", "four_eagle")
    one, one_eagle, four, four_eagle = (metrics(run, name)["output_tokens_per_s"] for name in names)
    assert one == pytest.approx(without[0], rel=0.1)
    assert four == pytest.approx(without[1], rel=0.15)
    as_reported = [tokens / (1.0 + constant_s * speed) for speed in (one, four)]
    assert as_reported == pytest.approx([1.43, 0.97], rel=0.1)

    ours = 1 + 0.6 + 0.6**2 + 0.6**3
    beyond_s = [ours / drafted - 1 / plain for plain, drafted in ((one, one_eagle), (four, four_eagle))]
    assert 0 < beyond_s[1] < beyond_s[0] / 2
    assert four_eagle / four == pytest.approx(one_eagle / one, rel=0.05)
