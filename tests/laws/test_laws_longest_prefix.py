"""Routing by the longest cached prefix: each choice is one of the best by the state that the gateway sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from fleet_cases import ENGINE, Served, Source, evenly, fleet, pool, serve
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.content import NO_HASH, PRIVATE, ROOT, mix
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD
from simulator.resolve.places import prefix_score
from simulator.rng import stream
from simulator.study.caches import PrefixScore
from simulator.study.choices import ReplicaRouting
from simulator.workload.requests import Requests

SCORE = PrefixScore(cached=2.0, free=1.0, queue=1.0)
SIZE = ENGINE.block_size
_SEGMENT, _OFFSET, _LENGTH = -7046029254386353131, -4417276706812531889, 1609587929392839161


def signed(number: int) -> np.int64:
    """As a sum of 64 bits that wraps."""
    return np.int64((number + 2**63) % 2**64 - 2**63)


def chains(parts: list[tuple[int, int]]) -> list[int]:
    """Chain hashes of the whole blocks of a prompt of (content, tokens)."""
    tokens = [(content, k) for content, many in parts for k in range(many)]
    chain, found = int(ROOT), []
    for block in range(len(tokens) // SIZE):
        place = block * SIZE
        while place < (block + 1) * SIZE:
            content, offset = tokens[place]
            stop = place
            while stop < (block + 1) * SIZE and tokens[stop][0] == content:
                stop += 1
            run = signed(content * _SEGMENT + offset * _OFFSET + (stop - place) * _LENGTH)
            chain = int(mix(np.int64(chain) ^ run))
            place = stop
        if chain in (NO_HASH, PRIVATE):
            chain = 2
        found.append(chain)
    return found


def prompts(seed: int, n: int, gap_s: float, isl: int = 200) -> tuple[Requests, list[list[tuple[int, int]]]]:
    """Prompts that begin with one of 2 texts, go on with one of 5 each, and end with what only they have."""
    rng = stream(seed, "longest prefix")
    first, second = 1 + rng.integers(0, 2, n), 10 + rng.integers(0, 5, n)
    parts = [[(int(a), 48), (int(100 * a + b), 72)] for a, b in zip(first, second, strict=True)]
    flat = [part for row in parts for part in row]
    requests = evenly(
        n,
        gap_s,
        isl,
        40,
        segment_start=2 * np.arange(n + 1),
        segment_id=np.array([content for content, _ in flat]),
        segment_tokens=np.array([tokens for _, tokens in flat]),
    )
    return replace(requests, arrival_s=1.0 + requests.arrival_s), parts


def best_by_state(plane: DataPlane, parts: list[tuple[int, int]], isl: int) -> set[int]:
    """Replicas with the highest score, from what stands in the arrays of the engines."""
    engines = plane.engines
    waiting = engines.replicas["n_waiting"].astype(int).tolist()
    scores = []
    for r, rep in enumerate(engines.replicas):
        base = int(rep["hash_base"])
        table = engines.hashes[base : base + int(rep["hash_mask"]) + 1]
        known = set(table["hash"][table["first"] >= 0].tolist())
        looked = chains(parts)[: (isl - 1) // SIZE]
        hits = next((k for k, chain in enumerate(looked) if chain not in known), len(looked))
        spread = max(waiting) - min(waiting)
        queue = (max(waiting) - waiting[r]) / spread if spread else 1.0
        free = int(rep["free_blocks"]) / (ENGINE.num_blocks - 1)
        scores.append(SCORE.cached * (hits / (isl // SIZE)) + SCORE.free * free + SCORE.queue * queue)
    return {r for r, score in enumerate(scores) if score == max(scores)}


def watched(seed: int, n: int, gap_s: float, replicas: int, **limits: Any) -> tuple[Served, list[set[int]]]:
    """A run, with the best replicas at each arrival."""
    requests, parts = prompts(seed, n, gap_s)
    engine = replace(ENGINE, **limits)
    spec = fleet((pool(replicas=replicas, routing=ReplicaRouting.LONGEST_PREFIX, engine=engine, prefix_score=SCORE),))
    batches: list[np.ndarray[Any, Any]] = [np.zeros(0, RECORD)]
    plane = DataPlane(spec, Source((requests,)), (replicas,), seed, batches.append)
    for r in range(replicas):
        plane.activate(r, 0.0)
    best = []
    for row, at_s in zip(parts, requests.arrival_s, strict=True):
        plane.advance(float(np.nextafter(at_s, 0.0)))
        best.append(best_by_state(plane, row, 200))
    plane.advance(1e6)
    plane.close(1e6)
    return Served(plane, batches), best


@given(seed=st.integers(0, 2**16), gap_s=st.sampled_from([0.02, 0.1, 0.5]), replicas=st.integers(2, 5))
@settings(max_examples=12, deadline=None)
def test_each_choice_is_one_of_the_best(seed: int, gap_s: float, replicas: int) -> None:
    run, best = watched(seed, 80, gap_s, replicas)
    chosen = run.by_arrival["replica"].tolist()
    assert all(one in among for one, among in zip(chosen, best, strict=True))


def test_equals_are_equally_likely() -> None:
    run, best = watched(3, 400, 40.0, 4, enable_prefix_caching=False, num_blocks=200)
    assert all(among == {0, 1, 2, 3} for among in best)
    counts = np.bincount(run.by_arrival["replica"], minlength=4)
    assert abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_it_finds_more_than_the_first_piece_of_a_prompt_tells() -> None:
    """Prompts of one beginning: by the first piece all go to one replica, whatever they go on with."""
    requests, _ = prompts(5, 300, 0.1)
    share, spread = {}, {}
    for routing in (ReplicaRouting.ROUND_ROBIN, ReplicaRouting.LONGEST_PREFIX):
        spec = fleet((pool(replicas=4, routing=routing, prefix_score=SCORE),))
        records = serve(spec, requests).by_arrival
        share[routing] = records["cached_tokens"].sum() / records["isl"].sum()
        spread[routing] = np.bincount(records["replica"], minlength=4).max() / len(records)
    assert share[ReplicaRouting.LONGEST_PREFIX] > share[ReplicaRouting.ROUND_ROBIN]
    assert spread[ReplicaRouting.LONGEST_PREFIX] < 0.5


def test_the_weights_are_those_of_the_catalog() -> None:
    assert prefix_score() == SCORE
