"""The compiled data plane as an object: built from a specification, advanced in time, steered replica by replica."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine import state as engine_state
from simulator.engine.allocate import EnginePool, allocate_engines, grow_rows, grow_slots, reset_replica, widen_tables
from simulator.engine.modes.rooms.arrays import PICTURE, NoRooms
from simulator.engine.state import NONE, Engines
from simulator.fleet import loop, loss, prompt_cache, state
from simulator.fleet.providers import count_under_way
from simulator.fleet.records import RECORD
from simulator.fleet.rows import RowLoader
from simulator.fleet.tables import (
    call_table,
    cascade_table,
    class_table,
    closed_table,
    hours,
    limit_table,
    most_bands,
    opening_table,
    provider_table,
    routing_table,
    target_table,
)
from simulator.fleet.timers import set_timer
from simulator.rng import stream_seed
from simulator.study.choices import LIMITS
from simulator.study.fleet import FleetSpec
from simulator.workload.requests import Requests, RequestSource

Sink = Callable[[NDArray[Any]], None]
LogSink = Callable[[NDArray[np.int64]], None]

_FIRST_TIMERS = 4096
_ENDLESS_S = 2.0**53
_FIRST_MARKS = 1023
_LOG_ROWS = 65536


class DataPlane:
    """All replicas, providers and the gateway of one topology.

    Parameters
    ----------
    spec : the topology
    source : the requests; open-loop arrivals are drawn chunk by chunk
    replica_slots : replicas to keep memory for, by pool; at least `PoolSpec.replicas`
    seed : of routing and provider latencies
    sink : called with records of ended requests (dtype RECORD), in order of their end
    log_sink : called with rows of the step log; None switches the log off
    asks : every request is looked at in every plan, whether or not a mode needs it
    luck : of the requests of the only chunk, where they are some of another run's
    """

    def __init__(
        self,
        spec: FleetSpec,
        source: RequestSource,
        replica_slots: tuple[int, ...],
        seed: int,
        sink: Sink,
        log_sink: LogSink | None = None,
        asks: bool = False,
        luck: NDArray[np.int64] | None = None,
    ) -> None:
        self.spec = spec
        self._sink = sink
        self._log_sink = log_sink
        self._chunks: Iterator[Requests] = source.chunks()
        self._loader = RowLoader(source.closed_loops, luck)
        pools = [
            EnginePool(pool.engine, pool.step_time, pool.power_w_by_seqs, slots)
            for pool, slots in zip(spec.pools, replica_slots, strict=True)
        ]
        most_seqs = max((pool.engine.max_num_seqs for pool in spec.pools), default=1)
        flights = [pool.engine.modes.flight for pool in spec.pools]
        most_plans = max([1, *(flight.depth for flight in flights if flight is not None)])
        self.engines: Engines = allocate_engines(
            pools,
            len(spec.classes),
            RECORD,
            longest_tokens=self._loader.longest_closed_tokens,
            log_rows=_LOG_ROWS + 8 * most_seqs * most_plans if log_sink else 0,
            asks=asks or any(pool.cache_resets for pool in spec.pools),
        )
        if not isinstance(self.engines.rooms, NoRooms):
            pictures = np.append(self._loader.closed_pictures, np.zeros(1, PICTURE))
            self.engines = self.engines._replace(rooms=self.engines.rooms._replace(pictures=pictures))
        self.engines = self.engines._replace(
            segment_id=self._loader.segment_id, segment_tokens=self._loader.segment_tokens
        )
        for pool, row in zip(spec.pools, self.engines.pools, strict=True):
            row["routing"] = pool.routing
            score = pool.prefix_score
            row["prefix_weight"], row["free_weight"], row["queue_weight"] = score.cached, score.free, score.queue
            row["max_waiting_per_replica"] = pool.max_waiting_per_replica
            row["latency_s"] = 2.0 * pool.network_s + pool.step_time.request_overhead_s
            if pool.hands_to is not None:
                row["hands_to"] = pool.hands_to
            for name in ("block_bytes", "link_bytes_per_s", "latency_s", "lease_s"):
                row[f"kv_{name}"] = getattr(pool.kv_transfer, name.removeprefix("link_"))
        self.fleet = self._allocate_fleet(source, seed, most_seqs)
        self._need_cache(self.fleet.closed_rows)
        for k, closed in enumerate(source.closed_loops):
            for start_s in closed.start_s:
                self._ensure_timers()
                set_timer(self.fleet, float(start_s), state.TIMER_CLOSED, k, NONE)

    def _allocate_fleet(self, source: RequestSource, seed: int, most_seqs: int) -> state.Fleet:
        spec, n = self.spec, len(self.engines.replicas)
        leaves = 1 << max(n - 1, 1).bit_length() if n > 1 else 1
        winners = np.full(2 * leaves, NONE, np.int32)
        winners[leaves : leaves + n] = np.arange(n)
        for node in range(leaves - 1, 0, -1):
            winners[node] = winners[2 * node]
        scalars = np.zeros(16, np.int64)
        scalars[state.SEED] = stream_seed(seed, "gateway") >> 2
        scalars[state.ROUTING_KIND] = spec.routing.kind
        scalars[state.MARK_FREE] = NONE
        asks = not isinstance(self.engines.rooms, NoRooms)
        scalars[state.REMOTE] = asks or any(pool.hands_to is not None for pool in spec.pools)
        scalars[state.OPENING_CYCLE_S] = min(spec.routing.cycle_s, _ENDLESS_S)
        return state.Fleet(
            chunk=np.zeros(0, state.ROW),
            closed_rows=self._loader.closed_rows,
            closed=closed_table(source),
            timers=np.zeros(_FIRST_TIMERS + most_seqs, state.TIMER),
            winners=winners,
            providers=provider_table(spec),
            routing=routing_table(spec),
            cascade=cascade_table(spec),
            classes=class_table(spec),
            targets=target_table(spec),
            calls=call_table(spec),
            limits=limit_table(spec),
            openings=opening_table(spec),
            memory=np.zeros(3, state.MEMORY),
            ready=np.full(max(n, 1), NONE, np.int32),
            scalars=scalars,
        )

    def advance(self, until_s: float) -> int | None:
        """Process all events up to and including `until_s`; stops early at a draining replica that has become empty.

        Returns
        -------
        The number of that replica, or None when `until_s` was reached.
        """
        while True:
            reason = loop.advance(self.fleet, self.engines, float(until_s))
            if reason == state.DONE:
                return None
            if reason == state.REPLICA_EMPTY:
                return int(self.fleet.scalars[state.EVENT_REPLICA])
            self._make_room(reason)

    def _make_room(self, reason: int) -> None:
        if reason == state.NEED_CHUNK:
            self._next_chunk()
        elif reason == state.OUT_FULL:
            self.drain_records()
        elif reason == state.GROW_SLOTS:
            self.engines = grow_slots(self.engines, 1024)
        elif reason == state.GROW_TIMERS:
            self.fleet = self.fleet._replace(
                timers=np.concatenate([self.fleet.timers, np.zeros_like(self.fleet.timers)])
            )
        elif reason == state.WIDEN_TABLES:
            self.engines = widen_tables(self.engines, self._longest_tokens())
        elif reason == state.GROW_ROWS:
            self.engines = grow_rows(self.engines, int(self.fleet.scalars[state.EVENT_REPLICA]))
        elif reason == state.GROW_CACHE:
            self._grow_cache(int(self.fleet.scalars[state.CACHE_NEED]))
        else:
            self._drain_log()

    def _grow_cache(self, need: int) -> None:
        """Room for `need` more nodes and marks of prompt caches, without those that nobody can find any more."""
        fleet, scalars = self.fleet, self.fleet.scalars
        alive = prompt_cache.count_alive(fleet)
        size = 1 << max(2 * alive + need, _FIRST_MARKS).bit_length()
        memory = np.zeros(3 * size, state.MEMORY)
        scalars[state.N_MARKS] = prompt_cache.copy_alive(fleet, memory)
        scalars[state.MARK_FREE] = NONE
        scalars[state.CACHE_ROOM] = size - alive
        self.fleet = fleet._replace(memory=memory)

    def calls(self) -> NDArray[np.int64]:
        """Counters of calls so far, shape (providers, classes, bands, CALL_COUNTS)."""
        return np.asarray(self._counts(self.fleet.calls).sum(axis=1))

    def count_calls_from(self, start_s: float) -> None:
        """Leave calls out that are made earlier, whenever they end."""
        self.fleet.providers["counts_from_s"] = start_s

    def calls_made(self, until_s: float) -> NDArray[np.int64]:
        """Counters of the calls made before `until_s`, those under way as they will end; shape
        (providers, hours of day or 1, classes, bands, CALL_COUNTS)."""
        counted = self.fleet._replace(calls=self.fleet.calls.copy())
        count_under_way(counted, self.engines, float(until_s))
        return self._counts(counted.calls)

    def _counts(self, calls: NDArray[np.void]) -> NDArray[np.int64]:
        spec = self.spec
        counts = np.stack([calls[name] for name in state.CALL_COUNTS], axis=-1)
        return counts.reshape(
            len(spec.providers), hours(spec), len(spec.classes), most_bands(spec), len(state.CALL_COUNTS)
        )

    def asked(self) -> NDArray[np.float64]:
        """What calls asked of the limits so far, and squares of it, shape (providers, LIMITS, 2)."""
        limits = self.fleet.limits
        found = np.stack([limits["asked"], limits["asked_squares"]], axis=-1)
        return found.reshape(len(self.spec.providers), len(LIMITS), 2)

    def work(self) -> NDArray[np.int64]:
        """Counters of answers so far, shape (targets, classes, WORK_COUNTS)."""
        counts = np.stack([self.fleet.targets[name] for name in state.WORK_COUNTS], axis=-1)
        return counts.reshape(-1, len(self.spec.classes), len(state.WORK_COUNTS))

    def _need_cache(self, rows: NDArray[np.void]) -> None:
        """One call of an API may leave a node and a mark for each of its prompt's segments."""
        if len(rows) and any(provider.cache.life_s > 0 for provider in self.spec.providers):
            need = 2 * int(rows["n_segments"].max()) + 2
            self.fleet.scalars[state.CACHE_NEED] = max(need, self.fleet.scalars[state.CACHE_NEED])

    def _longest_tokens(self) -> int:
        rows = [rows["isl"].astype(np.int64) + rows["osl"] for rows in (self.fleet.chunk, self.fleet.closed_rows)]
        return max(int(tokens.max()) for tokens in rows if len(tokens))

    def _ensure_timers(self) -> None:
        if self.fleet.scalars[state.N_TIMERS] + 8 > len(self.fleet.timers):
            self._make_room(state.GROW_TIMERS)

    def _next_chunk(self) -> None:
        requests = next(self._chunks, None)
        scalars = self.fleet.scalars
        scalars[state.CHUNK_NEXT] = 0
        if requests is None:
            scalars[state.LAST_CHUNK] = 1
            scalars[state.CHUNK_OPEN] = 0
            return
        scalars[state.CHUNK_OPEN] = requests.n_open
        chunk, segment_id, segment_tokens = self._loader.load(requests, self.engines)
        self.fleet = self.fleet._replace(chunk=chunk)
        self._need_cache(chunk)
        self.engines = self._loader.load_pictures(requests, chunk, self.engines)
        self.engines = self.engines._replace(segment_id=segment_id, segment_tokens=segment_tokens)

    def n_ended(self) -> int:
        """Records of ended requests that wait for the sink."""
        return int(self.engines.counters[engine_state.N_OUT])

    def drain_records(self) -> None:
        """Hand the records of ended requests to the sink."""
        n = self.n_ended()
        if n:
            self._sink(self.engines.out[:n].copy())
            self.engines.counters[engine_state.N_OUT] = 0

    def _drain_log(self) -> None:
        n = int(self.engines.counters[engine_state.N_LOG])
        if n and self._log_sink:
            self._log_sink(self.engines.log[:n].copy())
        self.engines.counters[engine_state.N_LOG] = 0

    def _pool_of(self, r: int) -> Any:
        return self.engines.pools[self.engines.replicas[r]["pool"]]

    def activate(self, r: int, now: float) -> None:
        """Let replica `r` take requests, starting with those queued before its pool."""
        reset_replica(self.engines, r)
        self.engines.replicas[r]["state"] = engine_state.READY
        pool = self._pool_of(r)
        base = int(pool["replica_base"])
        ready = self.fleet.ready[base : base + int(pool["n_ready"])].tolist()
        pool["n_ready"] += 1
        self.fleet.ready[base : base + int(pool["n_ready"])] = sorted([*ready, r])
        self._ensure_out(int(pool["n_queued"]))
        loop.flush_gateway(self.fleet, self.engines, int(self.engines.replicas[r]["pool"]), float(now))

    def _withdraw(self, r: int) -> None:
        pool = self._pool_of(r)
        base, n = int(pool["replica_base"]), int(pool["n_ready"])
        ready = [k for k in self.fleet.ready[base : base + n].tolist() if k != r]
        pool["n_ready"] = len(ready)
        self.fleet.ready[base : base + len(ready)] = ready

    def drain(self, r: int) -> bool:
        """Take no more requests; True when the replica is empty already (else `advance` tells when it is)."""
        self._withdraw(r)
        self.engines.replicas[r]["state"] = engine_state.DRAINING
        rep = self.engines.replicas[r]
        calls = rep["in_step"] == 0 and bool(np.isfinite(rep["step_end_s"]))
        return int(self.engines.load[r]) == 0 and int(rep["n_kept"]) == 0 and not calls

    def switch_off(self, r: int) -> None:
        self.engines.replicas[r]["state"] = engine_state.OFF

    def lose(self, r: int, now: float) -> None:
        """The replica is gone with all it was doing."""
        self._withdraw(r)
        self._ensure_out(2 * (int(self.engines.load[r]) + int(self.engines.replicas[r]["n_kept"])))
        loss.lose_replica(self.fleet, self.engines, r, float(now), False)
        self.switch_off(r)

    def reset_cache(self, r: int, now: float, running: bool, elsewhere: bool = False) -> None:
        """Replica `r` forgets its prefix cache once its present step has ended; only planes that ask know how.

        Whoever runs then waits, and those whose blocks a plan in flight uses keep their row of the block table, so that
        there is one more for each of them.

        Parameters
        ----------
        running : those who run are preempted first; else it is refused where any block is held
        elsewhere : the memory of the CPU is emptied as well
        """
        self._ensure_timers()
        rep = self.engines.replicas[r]
        pool = self.engines.pools[rep["pool"]]
        most = int(rep["n_waiting"]) + 2 * int(pool["max_num_seqs"])
        while running and pool["tracks_blocks"] and int(self.engines.replicas[r]["n_free_rows"]) < most:
            self.engines = grow_rows(self.engines, r)
        kind = state.TIMER_RESET_RUNNING if running else state.TIMER_RESET
        set_timer(self.fleet, float(now), kind, r, state.RESET_ELSEWHERE if elsewhere else NONE)

    def provider_down(self, k: int, now: float) -> None:
        """Provider `k` goes down with all it was doing."""
        self.fleet.providers[k]["down"] = 1
        target = len(self.spec.pools) + k
        slots = self.engines.slots
        self._ensure_out(2 * int(((slots["state"] == engine_state.PROVIDER) & (slots["target"] == target)).sum()))
        loss.lose_provider(self.fleet, self.engines, target, now)

    def provider_up(self, k: int) -> None:
        """Provider `k` takes requests again."""
        self.fleet.providers[k]["down"] = 0

    def throttle(self, k: int, share: float) -> None:
        """Provider `k` answers so many of the calls with 429 from now on."""
        self.fleet.providers[k]["throttled_share"] = share

    def _ensure_out(self, n: int) -> None:
        self.drain_records()
        missing = n + len(self.engines.scratch) + 8 - len(self.engines.out)
        if missing > 0:
            out = np.concatenate([self.engines.out, np.zeros(missing, RECORD)])
            self.engines = self.engines._replace(out=out)
        while self.fleet.scalars[state.N_TIMERS] + n + 8 > len(self.fleet.timers):
            self._make_room(state.GROW_TIMERS)
        need = (n + 1) * int(self.fleet.scalars[state.CACHE_NEED])
        if self.fleet.scalars[state.CACHE_ROOM] < need:
            self._grow_cache(need)

    def stop_arrivals(self) -> None:
        """From now on nothing new arrives: later turns and closed-loop users stay away."""
        self.fleet.scalars[state.CLOSING] = 1

    def in_flight(self) -> int:
        return int(self.engines.counters[engine_state.N_IN_FLIGHT])

    def close(self, now: float) -> None:
        """End the run: whatever is still in flight is unfinished. Drains all buffers."""
        self.stop_arrivals()
        self._ensure_out(self.in_flight())
        for r in range(len(self.engines.replicas)):
            if self.engines.load[r]:
                loss.lose_replica(self.fleet, self.engines, r, float(now), True)
        loss.end_unserved(self.fleet, self.engines, float(now))
        self.drain_records()
        self._drain_log()

    def touch_clock(self, now: float) -> None:
        """Bring the pools' time integrals up to `now`."""
        pools = self.engines.pools
        pools["in_system_s"] += pools["n_in_system"] * (now - pools["last_change_s"])
        pools["last_change_s"] = now

    def free(self) -> None:
        """Give back its memory; it is of no use any more."""
        del self.engines, self.fleet
