"""Each refusal at its edge: the value that is refused at its place, and the neighbour that is taken."""

from __future__ import annotations

import pytest
from scenario_cases import SMALL, Edge, check_edge

CHAT, CLASS = "workload.classes[chat]", "workload.classes[0]"
BURST = "topologies.mixed.pools[burst]"
BASE = "topologies.mixed.pools[1]"
ROUTING = "topologies.mixed.routing"
API = "topologies.mixed.providers[api]"
SCALER = "{{min: {}, max: {}, target_per_replica: 4}}"
OWN = "topologies.own.pools[base]"
SESSIONS = f"{CHAT}.arrivals={{kind: sessions, rate_rps: 1, think_s: 1, turns: 3}}"
CASES: dict[str, Edge] = {
    "warm-up": (["run.warmup_s=300"], ["run.warmup_s=299.9"], "run.warmup_s: must be less than horizon_s (300)"),
    "lognormal": (
        [f"{CHAT}.lengths.isl={{kind: lognormal, mean: 9, cv: 1, min: 51, max: 50}}"],
        [f"{CHAT}.lengths.isl={{kind: lognormal, mean: 9, cv: 1, min: 50, max: 50}}"],
        f"{CLASS}.lengths.isl.min: must be at most max (50) (got 51)",
    ),
    "uniform": (
        [f"{CHAT}.lengths.isl={{kind: uniform, low: 51, high: 50}}"],
        [f"{CHAT}.lengths.isl={{kind: uniform, low: 50, high: 50}}"],
        f"{CLASS}.lengths.isl.low: must be at most high (50) (got 51.0)",
    ),
    "a whole number in a range": (
        [f"{CHAT}.lengths.isl={{kind: uniform, low: 9.1, high: 9.9}}"],
        [f"{CHAT}.lengths.isl={{kind: uniform, low: 9.1, high: 10}}"],
        f"{CLASS}.lengths.isl: holds no whole number between 9.1 and 9.9",
    ),
    "least of a range": (
        [f"{CHAT}.lengths.isl={{kind: uniform, low: 0, high: 9}}"],
        [f"{CHAT}.lengths.isl={{kind: uniform, low: 1, high: 9}}"],
        f"{CLASS}.lengths.isl.low: must be at least 1 (got 0)",
    ),
    "least length": (
        [f"{CHAT}.lengths.osl=0.9"],
        [f"{CHAT}.lengths.osl=1"],
        f"{CLASS}.lengths.osl: must be a whole number from 1 to 2147483647 (got 0.9)",
    ),
    "longest length": (
        [f"{CHAT}.lengths.osl=2147483648"],
        [f"{CHAT}.lengths.osl=2147483647"],
        f"{CLASS}.lengths.osl: must be a whole number from 1 to 2147483647",
    ),
    "complexity": (
        [f"{CHAT}.complexity={{kind: uniform, low: 0.1, high: 1.01}}"],
        [f"{CHAT}.complexity={{kind: uniform, low: 0.1, high: 1}}"],
        f"{CLASS}.complexity.high: must be at most 1 (got 1.01)",
    ),
    "no lengths": (
        [f"{CHAT}.lengths=null"],
        [],
        f"{CLASS}: 'lengths' is missing: poisson arrivals come without lengths",
    ),
    "prefixes of sessions": (
        [SESSIONS, f"{CHAT}.prefixes={{groups: 1, tokens: 9}}"],
        [f"{CHAT}.prefixes={{groups: 1, tokens: 9}}"],
        f"{CLASS}.prefixes: conversations share 'system_tokens': remove prefixes",
    ),
    "pictures of sessions": (
        [SESSIONS, f"{CHAT}.images={{tokens: 9}}"],
        [SESSIONS],
        f"{CLASS}.images: pictures within conversations are not simulated",
    ),
    "a TTFT of minutes": (
        [f"{CHAT}.slo.ttft_s.p99=100"],
        [f"{CHAT}.slo.ttft_s.p99=99"],
        f"{CLASS}.slo.ttft_s.p99: is 1.67 minutes: did you mean 100 ms? Those are 0.1",
    ),
    "a TTFT of whole hours": (
        [f"{CHAT}.slo.ttft_s.p99=3600"],
        [f"{CHAT}.slo.e2e_s.p99=10800"],
        f"{CLASS}.slo.ttft_s.p99: is 60 minutes: did you mean 3600 ms? Those are 3.6",
    ),
    "a TPOT of seconds": (
        [f"{CHAT}.slo.tpot_s.p95=2"],
        [f"{CHAT}.slo.tpot_s.p95=1.9"],
        f"{CLASS}.slo.tpot_s.p95: is 2 s: did you mean 2 ms? Those are 0.002",
    ),
    "an answer within hours that are not whole": (
        [f"{CHAT}.slo.e2e_s.p99=30000"],
        [f"{CHAT}.slo.e2e_s.p99=28800"],
        f"{CLASS}.slo.e2e_s.p99: is 500 minutes: did you mean 30000 ms? Those are 30",
    ),
    "who waits for minutes": (
        [f"{CHAT}.slo.ttft_s.p99=400", f"{CHAT}.service_tier=priority"],
        [f"{CHAT}.slo.ttft_s.p99=400", f"{CHAT}.service_tier=flex"],
        f"{CLASS}.slo.ttft_s.p99: is 6.67 minutes",
    ),
    "a batch with a TTFT": (
        [f"{CHAT}.service_tier=batch", f"{CHAT}.slo={{ttft_s: {{p99: 1}}}}"],
        [f"{CHAT}.service_tier=batch", f"{CHAT}.slo={{e2e_s: {{p99: 86400}}}}"],
        f"{CLASS}.service_tier: answers may take a day: drop the timeout and all of the SLO but a deadline (e2e_s)",
    ),
    "a batch with a timeout": (
        [f"{CHAT}.service_tier=batch", f"{CHAT}.slo={{}}", f"{CHAT}.timeout_s=5"],
        [f"{CHAT}.service_tier=batch", f"{CHAT}.slo={{}}"],
        f"{CLASS}.service_tier: answers may take a day",
    ),
    "fewest above most": (
        [f"{BURST}.autoscaler={SCALER.format(3, 2)}"],
        [f"{BURST}.autoscaler={SCALER.format(2, 2)}"],
        f"{BASE}.autoscaler.min: must be at most max (2) (got 3)",
    ),
    "replicas above the most": (
        ["run.max_replicas=7", f"{OWN}.replicas=8"],
        ["run.max_replicas=8", f"{OWN}.replicas=8"],
        "topologies.own.pools[0].replicas: is above run.max_replicas (7)",
    ),
    "an autoscaler above the most": (
        ["run.max_replicas=7", f"{BURST}.autoscaler={SCALER.format(0, 8)}"],
        ["run.max_replicas=8", f"{BURST}.autoscaler={SCALER.format(0, 8)}"],
        f"{BASE}.autoscaler.max: is above run.max_replicas (7)",
    ),
    "an autoscaler on owned servers": (
        [f"{OWN}.autoscaler={SCALER.format(0, 2)}"],
        [f"{OWN}.autoscaler={SCALER.format(0, 2)}", f"{OWN}.billing=on_demand", f"{OWN}.site=lambda"],
        "topologies.own.pools[0].autoscaler: owned servers are paid for whether on or off",
    ),
    "outages without a repair": (
        [f"{API}.outages={{mtbf_h: 9}}"],
        [f"{API}.outages={{mtbf_h: 9, mttr_h: 1}}"],
        "topologies.mixed.providers[0].outages: 'mttr_h' is missing",
    ),
    "repairs without an outage": (
        [f"{BURST}.outages={{mttr_h: 9}}"],
        [f"{BURST}.outages={{mtbf_h: 9, mttr_h: 1}}"],
        f"{BASE}.outages: 'mtbf_h' is missing",
    ),
    "weights of nothing": (
        [f"{ROUTING}={{kind: weighted, weights: {{base: 0, api: 0}}}}"],
        [f"{ROUTING}={{kind: weighted, weights: {{base: 0, api: 0.1}}}}"],
        f"{ROUTING}.weights: at least one weight must be above 0",
    ),
    "overflow to nobody": (
        ["topologies.own.routing={kind: overflow, when: {outstanding_per_replica: 2}}"],
        ["topologies.own.routing={kind: weighted}"],
        "topologies.own.routing: overflow needs at least two pools or providers",
    ),
    "windows of nothing": (
        [f"{ROUTING}={{kind: windows}}"],
        [f"{ROUTING}={{kind: windows, windows: [{{hours: 8-18, use: [base]}}]}}"],
        f"{ROUTING}.windows: say which targets are open when",
    ),
    "the rest of no week": (
        [f"{ROUTING}={{kind: weighted, otherwise: [api]}}"],
        [f"{ROUTING}={{kind: weighted, otherwise: [api], windows: [{{hours: 8-18, use: [base]}}]}}"],
        f"{ROUTING}.otherwise: is the rest of the week: give windows",
    ),
    "a window of an unknown target": (
        [f"{ROUTING}={{kind: weighted, windows: [{{hours: 8-18, use: [bse]}}]}}"],
        [f"{ROUTING}={{kind: weighted, windows: [{{hours: 8-18, use: [base]}}]}}"],
        f"{ROUTING}.windows[0].use[0]: unknown pool or provider 'bse'",
    ),
    "two speeds": (
        ["engine.throughput={output_tokens_per_s: 1000}", "engine.profile=a.json"],
        ["engine.throughput={output_tokens_per_s: 1000}"],
        "engine.throughput: give a throughput or a profile, not both",
    ),
    "a cascade that goes on with everything": (
        [f"{ROUTING}={{kind: cascade, first: base, second: api, escalate: {{share: 1.1}}}}"],
        [f"{ROUTING}={{kind: cascade, first: base, second: api, escalate: {{share: 1}}}}"],
        f"{ROUTING}.escalate.share: must be",
    ),
    "nobody to serve": (["topologies.mixed={}"], [], "topologies.mixed: needs at least one pool or provider"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_told_at_its_place_and_its_neighbour_is_taken(name: str) -> None:
    check_edge(SMALL, CASES[name])
