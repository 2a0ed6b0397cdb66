"""The same work in servecast and in its peers, in one session: `python bench/peers/compare.py`.

Poisson arrivals at 9 requests/s at one replica, 512 prompt and 256 output tokens each. Every peer's run is followed by
the same requests in servecast; each pair runs three times and the medians are compared.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from peers import PEERS, RATE_RPS, Peer

from simulator.run.bench import Measurement, Setting, bench_source, fleet_spec, measure, warm_up
from simulator.study.fleet import FleetSpec

REPEATS = 3
SERVECAST_REQUESTS = 200_000
SERVECAST_REPEATS = 3
"""servecast's runs last some tenths of a second, so each counts as the median of three."""
CAPTION = (
    "| peer | simulates | requests | peer requests/s | servecast requests/s | ratio "
    "| peer TTFT s, E2E s | servecast TTFT s, steps/request |"
)


def spec_for(peer: Peer) -> FleetSpec:
    """servecast's replica, with prefix caching as in the peer."""
    spec = fleet_spec(Setting())
    pool = spec.pools[0]
    engine = replace(pool.engine, enable_prefix_caching=peer.prefix_caching)
    return replace(spec, pools=(replace(pool, engine=engine),))


def median_run(runs: list[Measurement]) -> Measurement:
    """The run of median duration."""
    return sorted(runs, key=lambda run: run.simulation_s)[len(runs) // 2]


def compare(peer: Peer) -> str:
    """A row of the table: run in turn, medians of each side."""
    problem = peer.problem()
    if problem:
        return f"| {peer.name} | {peer.level} | {problem} |"
    source, more = (
        bench_source(Setting(constant_lengths=True), RATE_RPS, requests)
        for requests in (peer.requests, max(peer.requests, SERVECAST_REQUESTS))
    )
    spec = spec_for(peer)
    theirs, ours = [], []
    try:
        for _ in range(REPEATS):
            theirs.append(peer.run(peer, source))
            ours.append(median_run([measure(spec, more) for _ in range(SERVECAST_REPEATS)]))
    except RuntimeError as error:
        return f"| {peer.name} | {peer.level} | {error} |"
    their_rate = median(run.requests / run.wall_s for run in theirs)
    our_rate = median(run.requests_per_s for run in ours)
    mine, yours = ours[0], theirs[0]
    return (
        f"| {peer.name} | {peer.level} | {yours.requests:,} | {their_rate:,.0f} | {our_rate:,.0f} "
        f"| {our_rate / their_rate:,.1f} | {yours.mean_ttft_s:.3f}, {yours.mean_e2e_s:.2f} "
        f"| {mine.mean_ttft_s:.3f}, {mine.steps / mine.requests:.1f} |"
    )


def main() -> None:
    for caching in (False, True):
        warm_up(Setting(prefix_caching=caching))
    print(CAPTION)
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for peer in PEERS:
        print(compare(peer), flush=True)


if __name__ == "__main__":
    main()
