"""A rough capacity before anything runs: enough to warn of a load that can only pile up."""

from __future__ import annotations

from simulator.fleet.spec import PoolSpec
from simulator.rng import stream_seed
from simulator.run.topology import PlannedTopology
from simulator.run.workload import request_source
from simulator.scenario.load import LoadedScenario


def replica_capacity_rps(pool: PoolSpec, isl: float, osl: float, *, prefill: bool = True, decode: bool = True) -> float:
    """Requests per second that one replica can keep up with, from its step time at a full batch.

    A request of mean lengths takes its prompt's share of full prefill steps, and `osl` decode steps shared by the
    B requests that fit: 1 / (isl·T(budget)/budget + A_p·isl²/2 + osl·T(B)/B), B = min(max_num_seqs, KV tokens/context).
    A replica that does not `prefill`, or not `decode`, spares itself that part.
    """
    engine, step = pool.engine, pool.step_time
    budget = engine.max_num_batched_tokens
    context = isl + osl / 2
    blocks = (engine.num_blocks - 1) * engine.block_size
    batch = max(min(engine.max_num_seqs, int(blocks / context), budget), 1)
    if engine.batching == engine.batching.ONE_AT_A_TIME:
        batch = 1
    row = step.token_time_s[-1]
    prefill_s = isl * row[budget] / budget + step.prefill_attn_s * isl * isl / 2
    decode_s = osl * (row[batch] + step.seq_time_s[batch] + step.decode_attn_s * batch * context) / batch
    return float(1.0 / (prefill_s * prefill + decode_s * decode))


def load_warnings(loaded: LoadedScenario, planned: PlannedTopology) -> list[str]:
    """A warning when the offered load exceeds what all replicas together can serve."""
    if planned.fleet.vendors or not planned.fleet.pools:
        return []
    seed = stream_seed(loaded.scenario.run.seed, "replication", 0)
    first = next(iter(request_source(loaded.scenario, loaded.path.parent, seed).chunks()), None)
    if first is None or first.n_open < 2:
        return []
    span_s = min(float(first.arrival_s[first.n_open - 1]), loaded.scenario.run.horizon_s)
    offered = len(first) / max(span_s, 1e-9)
    isl, osl = float(first.isl.mean()), float(first.osl.mean())
    capacity = _capacity_rps(planned.fleet.pools, isl, osl)
    if offered <= capacity:
        return []
    return [
        f"unstable: {offered:.3g} requests/s are offered, about {capacity:.3g} can be served; the queue will only grow"
    ]


def _capacity_rps(pools: tuple[PoolSpec, ...], isl: float, osl: float) -> float:
    """All replicas at their most; where prompts and answers have pools of their own, the scarcer of them decides."""
    answering = {pool.hands_to for pool in pools if pool.hands_to is not None}

    def most(pool: PoolSpec, **parts: bool) -> float:
        replicas = max(pool.replicas, pool.autoscaler.max_replicas if pool.autoscaler else 0)
        return replicas * replica_capacity_rps(pool, isl, osl, **parts)

    total = sum(most(pool) for k, pool in enumerate(pools) if pool.hands_to is None and k not in answering)
    for k in answering:
        prompts = sum(most(pool, decode=False) for pool in pools if pool.hands_to == k)
        total += min(prompts, most(pools[k], prefill=False))
    return total
