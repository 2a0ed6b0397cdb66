"""Each refusal of jobs, drafts, answers and hand-overs at its edge: the value that is refused, and the neighbour."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import SMALL, Edge, check_edge

from simulator.scenario.load import load_scenario

HANDED = Path(__file__).resolve().parents[2] / "scenarios/onprem/disaggregation.yaml"
CHAT, CLASS = "workload.classes[chat]", "workload.classes[0]"
POOLS = "topologies.disaggregated.pools"
OWN = "topologies.own.pools[base]"
ALONE = ["run.warmup_s=0", "workload.classes[secret]=null", f"{CHAT}.slo={{}}", "topologies.mixed=null"]


def job(**given: object) -> list[str]:
    """Nothing else comes."""
    words = ", ".join(f"{key}: {value}" for key, value in {"requests": 9, "deadline_s": 300, **given}.items())
    return [*ALONE, f"{CHAT}.arrivals={{kind: job, {words}}}"]


def beside(start_s: float, deadline_s: float, more: str = "") -> list[str]:
    """Class `secret` goes on."""
    return [
        f"{CHAT}.slo={{}}",
        f"{CHAT}.arrivals={{kind: job, requests: 9, start_s: {start_s}, deadline_s: {deadline_s}{more}}}",
    ]


def two(first: float, second: float) -> list[str]:
    classes = ", ".join(
        f"{{name: {name}, lengths: {{isl: 9, osl: 9}}, "
        f"arrivals: {{kind: job, requests: 9, deadline_s: 300, per_month: {times}}}}}"
        for name, times in zip("ab", (first, second), strict=True)
    )
    return ["run.warmup_s=0", f"workload.classes=[{classes}]"]


def answers(n: int, *more: str) -> list[str]:
    return ["topologies.mixed=null", f"{CHAT}.n={n}", *more]


def drafts(more: str) -> list[str]:
    return [f"engine.speculative_config={{{more}}}"]


ROWS = "num_speculative_tokens: 3, acceptance: 0.5, num_speculative_tokens_per_batch_size: "
CASES: dict[str, Edge] = {
    "a job that is due too late": (
        job(deadline_s=300.5),
        job(deadline_s=300),
        f"{CLASS}.arrivals.deadline_s: the job is due after 300.5 s, beyond run.horizon_s (300): simulate at least as",
    ),
    "a late job that is due too late": (
        beside(30, 270.5),
        beside(30, 270),
        f"{CLASS}.arrivals.deadline_s: the job is due after 300.5 s, beyond run.horizon_s (300)",
    ),
    "a job in the warm-up": (
        beside(29.9, 60),
        beside(30, 60),
        f"{CLASS}.arrivals.start_s: the job would come in the warm-up (run.warmup_s is 30), which does not count",
    ),
    "a job of requests and of tokens": (
        job(tokens=99),
        job(),
        f"{CLASS}.arrivals: give the requests of the job, or its tokens",
    ),
    "a job of neither": (
        [*ALONE, f"{CHAT}.arrivals={{kind: job, deadline_s: 9}}"],
        [*ALONE, f"{CHAT}.arrivals={{kind: job, deadline_s: 9, tokens: 99}}"],
        f"{CLASS}.arrivals: give the requests of the job, or its tokens",
    ),
    "a job that gives up": (
        [*job(), f"{CHAT}.timeout_s=9"],
        job(),
        f"{CLASS}.timeout_s: the requests of a job wait for their turn: drop the timeout",
    ),
    "a job beside a closed loop": (
        [*beside(30, 60), "workload.classes[secret].arrivals={kind: closed_loop, concurrency: 1}"],
        beside(30, 60),
        "workload.classes[1].arrivals: users of a closed loop take all that is left",
    ),
    "a job that nobody waits for": (
        job(start_s=1, deadline_s=9),
        job(start_s=0, deadline_s=9),
        f"{CLASS}.arrivals.start_s: nobody waits for a fleet before it: drop it",
    ),
    "classes of one job done at other times": (
        two(1, 2),
        two(2, 2),
        "workload.classes[1].arrivals.per_month: the classes of one job are done equally often: the first 1 times",
    ),
    "a job of a month beside others": (
        beside(30, 60, ", per_month: 1"),
        beside(30, 60),
        f"{CLASS}.arrivals.per_month: beside other classes a job comes once in each simulated time",
    ),
    "a job of periods": (
        [*job(), "study={periods: [{name: a}]}"],
        [*beside(30, 60), "study={periods: [{name: a}]}"],
        "study.periods: a job has a time of its own: periods of a month are for classes that go on",
    ),
    "a job of windows": (
        [*job(), "study={cut: {window_h: 0.01}}"],
        ["study={cut: {window_h: 0.01}}"],
        "study.cut: a job has a time of its own: windows are for classes that go on",
    ),
    "a job over the end of a window": (
        [*beside(30, 60), "study={cut: {window_h: 0.01}}"],
        ["study={cut: {window_h: 0.01}}"],
        "study.cut: a job may reach over the end of a window",
    ),
    "answers of two replicas": (
        answers(2, f"{OWN}.replicas=2"),
        answers(2),
        f"{CLASS}.n: topology own: the answers of a request come from one replica, but routing least_outstanding "
        "spreads them: take session_sticky, or one replica",
    ),
    "answers that are sent on together": (
        answers(2, f"{OWN}.replicas=auto"),
        answers(2, f"{OWN}.replicas=2", f"{OWN}.routing=session_sticky"),
        f"{CLASS}.n: topology own: the answers of a request come from one replica",
    ),
    "answers of two pools": (
        answers(2, "topologies.own.pools=[{name: a, site: lambda, gpu: l4}, {name: b, site: lambda, gpu: l4}]"),
        answers(2, "topologies.own.pools=[{name: a, site: lambda, gpu: l4}]"),
        "but requests are sent on one by one to several pools: keep one",
    ),
    "answers of a token API": (
        [f"{CHAT}.n=2"],
        [f"{CHAT}.n=1"],
        f"{CLASS}.n: topology mixed: the answers of a request come from one replica, but a token API reads a prompt",
    ),
    "answers within a conversation": (
        answers(2, f"{CHAT}.arrivals={{kind: sessions, rate_rps: 1, think_s: 1, turns: 3}}"),
        answers(1, f"{CHAT}.arrivals={{kind: sessions, rate_rps: 1, think_s: 1, turns: 3}}"),
        f"{CLASS}.n: sessions arrivals wait for one answer, or count them (got 2)",
    ),
    "drafts from the second request on": (
        drafts(f"{ROWS}[[2, 4, 3]]"),
        drafts(f"{ROWS}[[1, 4, 3]]"),
        "num_speculative_tokens_per_batch_size[0]: the first row must begin with 1",
    ),
    "rows of drafts that overlap": (
        drafts(f"{ROWS}[[1, 4, 3], [4, 8, 1]]"),
        drafts(f"{ROWS}[[1, 4, 3], [5, 8, 1]]"),
        "num_speculative_tokens_per_batch_size[1]: rows must go up, each from a number to no smaller one, and not",
    ),
    "a row of drafts that goes down": (
        drafts(f"{ROWS}[[1, 4, 3], [6, 5, 1]]"),
        drafts(f"{ROWS}[[1, 4, 3], [5, 5, 1]]"),
        "num_speculative_tokens_per_batch_size[1]: rows must go up",
    ),
    "looked up less often than always": (
        drafts("num_speculative_tokens: 3, acceptance: 0.5, drafted_share: 0.9"),
        drafts("method: ngram, num_speculative_tokens: 3, acceptance: 0.5, drafted_share: 0.9"),
        "engine.speculative_config.drafted_share: method eagle drafts in every step",
    ),
    "runs of drafts that never end": (
        drafts("method: ngram, num_speculative_tokens: 3, acceptance: 0.5, drafted_run_steps: 4"),
        drafts("method: ngram, num_speculative_tokens: 3, acceptance: 0.5, drafted_run_steps: 4, drafted_share: 0.8"),
        "drafted_run_steps: every step has drafts, so that no run ends: give drafted_share too",
    ),
    "runs of drafts that are too short": (
        drafts("method: ngram, num_speculative_tokens: 3, acceptance: 0.5, drafted_run_steps: 3.9, drafted_share: 0.8"),
        drafts("method: ngram, num_speculative_tokens: 3, acceptance: 0.5, drafted_run_steps: 4.1, drafted_share: 0.8"),
        "drafted_run_steps: is too short for 0.8 of the steps, with a step without drafts between runs: at least 4",
    ),
    "shares of other drafts than there are": (
        drafts("num_speculative_tokens: 3, acceptance_by_position: [0.9, 0.5]"),
        drafts("num_speculative_tokens: 3, acceptance_by_position: [0.9, 0.5, 0.5]"),
        "acceptance_by_position: needs one share for each of the 3 drafts of a step (got 2)",
    ),
    "a draft that is accepted without the one before": (
        drafts("num_speculative_tokens: 2, acceptance_by_position: [0.5, 0.51]"),
        drafts("num_speculative_tokens: 2, acceptance_by_position: [0.5, 0.5]"),
        "acceptance_by_position[1]: is above the share before it (0.5), without which none is accepted (got 0.51)",
    ),
    "two kinds of acceptance": (
        drafts("num_speculative_tokens: 1, acceptance_by_position: [0.5], acceptance: 0.5"),
        drafts("num_speculative_tokens: 1, acceptance_by_position: [0.5]"),
        "acceptance_by_position: give this or acceptance, not both",
    ),
    "a spread of shares by position": (
        drafts("num_speculative_tokens: 1, acceptance_by_position: [0.5], acceptance_std: 0.1"),
        drafts("num_speculative_tokens: 1, acceptance: 0.5, acceptance_std: 0.1"),
        "acceptance_std: goes with acceptance, not with acceptance_by_position",
    ),
    "drafts of an unknown class": (
        drafts("num_speculative_tokens: 1, acceptance: 0.5, by_class: {caht: {acceptance: 0.1}}"),
        drafts("num_speculative_tokens: 1, acceptance: 0.5, by_class: {chat: {acceptance: 0.1}}"),
        "engine.speculative_config.by_class.caht: unknown class 'caht': did you mean 'chat'?",
    ),
    "a network of seconds": (
        [f"{OWN}.network_s=5"],
        [f"{OWN}.network_s=4.9"],
        "topologies.own.pools[0].network_s: is 5 s: did you mean 5 ms? Those are 0.005",
    ),
    "a token API of minutes": (
        ["topologies.mixed.providers[api].ttft_s={median: 100}"],
        ["topologies.mixed.providers[api].ttft_s={median: 99.9}"],
        "topologies.mixed.providers[0].ttft_s.median: is 1.67 minutes: did you mean 100 ms? Those are 0.1",
    ),
    "a token API of seconds a token": (
        ["topologies.mixed.providers[api].tpot_s={median: 2}"],
        ["topologies.mixed.providers[api].tpot_s={median: 1.99}"],
        "topologies.mixed.providers[0].tpot_s.median: is 2 s: did you mean 2 ms? Those are 0.002",
    ),
    "a wait of more than two hours": (
        [f"{CHAT}.timeout_s=7201"],
        [f"{CHAT}.timeout_s=7199"],
        f"{CLASS}.timeout_s: is 120 minutes: did you mean 7201 ms? Those are 7.201. Who can wait so long has "
        "service_tier flex",
    ),
    "half a minute": (
        [f"{CHAT}.slo.tpot_s.p95=30"],
        [f"{CHAT}.slo.tpot_s.p95=1.9"],
        f"{CLASS}.slo.tpot_s.p95: is 0.5 minutes",
    ),
    "less than half a minute": (
        [f"{CHAT}.slo.tpot_s.p95=29"],
        [],
        f"{CLASS}.slo.tpot_s.p95: is 29 s: did you mean 29 ms? Those are 0.029",
    ),
    "what nothing measures": (
        [f"{CHAT}.arrivals.rate_rps=0.9e-12"],
        [f"{CHAT}.arrivals.rate_rps=1.0e-12"],
        f"{CLASS}.arrivals.rate_rps: must be 0, or at least 1e-12 in size",
    ),
    "what nothing holds": (
        [f"{OWN}.storage_gb=1.1e15"],
        [f"{OWN}.network_s=0"],
        "must be at most 1e+15 in size",
    ),
    "a hidden name": (
        [f"{CHAT}.name=.chat"],
        [f"{CHAT}.name=chat.1"],
        f"{CLASS}.name: must not begin with a dot, nor be a word of the browser's own",
    ),
    "a word of the browser's own": (
        ["topologies.own.pools[base].name=__proto__"],
        ["topologies.own.pools[base].name=__proto"],
        "topologies.own.pools[0].name: must not begin with a dot",
    ),
    "a list where one item is meant": (
        ["topologies.own.pools.replicas=2"],
        ["topologies.own.pools[0].replicas=2"],
        "topologies.own.pools: is a list: choose an item, as [0] or [name]",
    ),
}
BETWEEN: dict[str, Edge] = {
    "blocks that do not divide": (
        [f"{POOLS}[prompts].engine={{block_size: 32}}"],
        [f"{POOLS}[prompts].engine={{block_size: 32}}", f"{POOLS}[answers].engine={{block_size: 64}}"],
        f"{POOLS}[0].engine.block_size: must divide the block size of pool answers (16) (got 32)",
    ),
    "widths that do not divide": (
        [f"{POOLS}[prompts].tensor_parallel_size=2", f"{POOLS}[answers].tensor_parallel_size=3"],
        [f"{POOLS}[prompts].tensor_parallel_size=4", f"{POOLS}[answers].tensor_parallel_size=2"],
        f"{POOLS}[0].tensor_parallel_size: must divide that of pool answers (3), or be a multiple (got 2)",
    ),
    "stages that decode": (
        [f"{POOLS}[answers].pipeline_parallel_size=2"],
        [f"{POOLS}[prompts].pipeline_parallel_size=2"],
        f"{POOLS}[0].hands_to: pool answers has pipeline stages, which vLLM cannot decode into (got answers)",
    ),
}


@pytest.mark.parametrize("name", [*CASES, *BETWEEN])
def test_what_is_refused_is_told_at_its_place_and_its_neighbour_is_taken(name: str) -> None:
    check_edge(SMALL if name in CASES else HANDED, (CASES | BETWEEN)[name])


def test_overlays_and_assignments_are_lists() -> None:
    for given in ({"overlays": "run: {seed: 3}"}, {"sets": "run.seed=3"}):
        with pytest.raises(TypeError, match="overlays and sets are lists: put a single one in brackets"):
            load_scenario(SMALL, **given)  # type: ignore[arg-type]
