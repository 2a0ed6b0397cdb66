"""Copies on their way, call by call of the model, and what their ends tell; compiled.

The specification is `copies.CopyWorker` and `reference.OffloadRoom.finish_copy`.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.offload.arrays import BEGUN, DONE, LOAD_CALLS, NONE, ORDERED, STORE_CALLS, WAITS
from simulator.engine.modes.offload.keys import chunk_key
from simulator.engine.modes.offload.known import asked_of, forget_row
from simulator.engine.modes.offload.memory import empty_memory, find_chunk, is_there
from simulator.engine.state import LOG_COPY, Engines
from simulator.engine.timing import write_log
from simulator.jit import kernel


@kernel
def _is_replayed(engines: Engines) -> bool:
    """Whether copies take calls of the model, as a recording says, instead of time."""
    return len(engines.offload.asked) > 0


@kernel
def _blocks_of(engines: Engines, r: int, job: Any) -> int:
    """Blocks that a store copies: a state, or those of its chunks."""
    offload = engines.offload
    if job.block != 0:
        return 1
    blocks = 0
    c = job.chunk
    while c != NONE:
        blocks += offload.groups[engines.replicas[r].pool, offload.chunks[r, c].group].blocks
        c = offload.chunks[r, c].next_of_job
    return blocks


@kernel
def _begin_store(engines: Engines, r: int, pool: Any, job: Any, now: float) -> None:
    """Over the link to the memory, behind all stores before it, once the steps so far have been computed."""
    head = engines.offload.replicas[r]
    job.state = BEGUN
    if _is_replayed(engines):
        job.due = head.call + asked_of(engines, engines.offload.rows[job.row].request, STORE_CALLS)
        return
    begins_s = max(max(now, engines.flight.replicas[r].last_end_s), head.store_free_s)
    head.store_free_s = begins_s + _blocks_of(engines, r, job) * pool.kv_block_bytes / pool.kv_link_bytes_per_s
    job.due = head.store_free_s


@kernel
def _begin_load(engines: Engines, r: int, pool: Any, known: Any, now: float) -> None:
    """Over the link from the memory, behind all loads before it, once the steps so far have been computed."""
    head = engines.offload.replicas[r]
    known.load = BEGUN
    if _is_replayed(engines):
        known.due = head.call + asked_of(engines, known.request, LOAD_CALLS)
        return
    begins_s = max(max(now, engines.flight.replicas[r].last_end_s), head.load_free_s)
    head.load_free_s = begins_s + known.load_blocks * pool.kv_block_bytes / pool.kv_link_bytes_per_s
    known.due = head.load_free_s


@kernel
def _begin_stores(engines: Engines, r: int, pool: Any, now: float) -> float:
    """Begin what was asked for with the call before, and what somebody waits for; when all that is there."""
    offload = engines.offload
    n = offload.replicas[r].job_head
    there_s = now
    while n != NONE:
        job = offload.jobs[r, n]
        if job.state == WAITS or (job.state == ORDERED and job.flushed != 0):
            _begin_store(engines, r, pool, job, now)
        elif job.state == ORDERED:
            job.state = WAITS
        if job.flushed != 0 and job.state == BEGUN:
            job.due = now if _is_replayed(engines) else job.due
            there_s = max(there_s, job.due)
        job.flushed = 0
        n = job.after
    return there_s


@kernel
def call_model(engines: Engines, r: int, pool: Any, place: int, now: float) -> None:
    """The model is called: a load begins, and what was asked for with the call before is stored.

    A store that somebody waits for begins at once; the model is called when it is done. What has ended by then is
    reported with this call's output.
    """
    offload = engines.offload
    head = offload.replicas[r]
    head.call += 1
    n_stored, n_loaded = head.n_void, 0
    head.n_void = 0
    called = _begin_stores(engines, r, pool, float(head.call) if _is_replayed(engines) else now)
    head.waits_s = now if _is_replayed(engines) else called
    n = head.job_head
    while n != NONE:
        job = offload.jobs[r, n]
        if job.state == BEGUN and job.due <= called:
            job.state = DONE
            job.place = place
            n_stored += 1
        n = job.after
    while head.load_head != NONE:
        _begin_load(engines, r, pool, offload.rows[head.load_head], called)
        head.load_head = offload.rows[head.load_head].next_load
    row = head.known_head
    while row != NONE:
        known = offload.rows[row]
        if known.load == BEGUN and (known.due <= called or known.void != 0):
            known.load = DONE
            known.place = place
            n_loaded += 1
        row = known.after
    if len(engines.log) > 0 and n_stored + n_loaded > 0:
        write_log(engines, LOG_COPY, NONE, n_stored, n_loaded)


@kernel
def next_call_s(engines: Engines, r: int, now: float) -> float:
    """When copies need the model to be called: at once where a store has still to begin, else at the next end of one.

    Infinite where there is nothing to wait for, and in a replay, whose engines turn anyway.
    """
    offload = engines.offload
    head = offload.replicas[r]
    due_s = float("inf")
    if head.n_jobs == 0 or _is_replayed(engines):
        return due_s
    n = head.job_head
    while n != NONE:
        job = offload.jobs[r, n]
        if job.state == WAITS:
            return now
        if job.state == BEGUN:
            due_s = min(due_s, job.due)
        n = job.after
    row = head.known_head
    while row != NONE:
        if offload.rows[row].load == BEGUN:
            due_s = min(due_s, offload.rows[row].due)
        row = offload.rows[row].after
    return max(due_s, now)


@kernel
def is_reported(engines: Engines, r: int) -> bool:
    """Whether a plan in flight tells of copies that are done."""
    offload = engines.offload
    n = offload.replicas[r].job_head
    while n != NONE:
        if offload.jobs[r, n].state == DONE:
            return True
        n = offload.jobs[r, n].after
    row = offload.replicas[r].known_head
    while row != NONE:
        if offload.rows[row].load == DONE:
            return True
        row = offload.rows[row].after
    return False


@kernel
def lose_copies(engines: Engines, r: int) -> None:
    """The replica is gone with its memory: nothing is known of requests any more, which may go on elsewhere."""
    offload = engines.offload
    head = offload.replicas[r]
    while head.job_head != NONE:
        _drop_job(engines, r, head.job_head)
    while head.known_head != NONE:
        forget_row(engines, r, head.known_head)
    head.left_head = NONE
    head.n_jobs = 0
    head.n_void = 0


@kernel
def forget_if_done(engines: Engines, r: int, row: int) -> None:
    known = engines.offload.rows[row]
    if known.ended != 0 and known.n_jobs == 0 and known.load == 0:
        forget_row(engines, r, row)


@kernel
def end_stores(engines: Engines, r: int, place: int) -> None:
    """The output of a plan has come, and with it the stores that were done."""
    offload = engines.offload
    n = offload.replicas[r].job_head
    while n != NONE:
        job = offload.jobs[r, n]
        following = job.after
        if job.state == DONE and job.place == place:
            c = job.chunk
            while c != NONE:
                offload.chunks[r, c].users = 0
                c = offload.chunks[r, c].next_of_job
            row = job.row
            _drop_job(engines, r, n)
            offload.rows[row].n_jobs -= 1
            offload.replicas[r].n_jobs -= 1
            forget_if_done(engines, r, row)
        n = following


@kernel
def _drop_job(engines: Engines, r: int, n: int) -> None:
    offload = engines.offload
    head, job = offload.replicas[r], offload.jobs[r, n]
    if job.before != NONE:
        offload.jobs[r, job.before].after = job.after
    else:
        head.job_head = job.after
    if job.after != NONE:
        offload.jobs[r, job.after].before = job.before
    else:
        head.job_tail = job.before
    job.after = head.free_job
    head.free_job = n


@kernel
def next_loaded(engines: Engines, r: int, rep: Any, place: int) -> tuple[bool, int, int]:
    """Whether there is another request, in order of numbers, whose load was done with a plan.

    Its slot, and the one that keeps its blocks if it has left.
    """
    offload = engines.offload
    best = NONE
    row = offload.replicas[r].known_head
    while row != NONE:
        known = offload.rows[row]
        done = known.load == DONE and known.place == place
        if done and (best == NONE or known.request < offload.rows[best].request):
            best = row
        row = known.after
    if best == NONE:
        return False, NONE, NONE
    known = offload.rows[best]
    known.load = 0
    if known.void == 0:
        for g in range(offload.pools[rep.pool].n_groups):
            for n in range(offload.tables[best, g].first_loaded, offload.tables[best, g].end_loaded):
                c = find_chunk(engines, r, chunk_key(engines, rep, best, g, n))
                if is_there(engines, r, c):
                    offload.chunks[r, c].users -= 1
                    offload.chunks[r, c].loading = 0
        known.n_jobs -= 1
        offload.replicas[r].n_jobs -= 1
    slot, kept = known.slot, known.kept
    known.kept = NONE
    forget_if_done(engines, r, best)
    return True, int(slot), int(kept)


@kernel
def forget_chunks(engines: Engines, r: int) -> None:
    """The memory is emptied: copies on their way are waited for with the next plan, and count for nothing."""
    offload = engines.offload
    head = offload.replicas[r]
    while head.job_head != NONE:
        head.n_void += 1 if offload.jobs[r, head.job_head].state != DONE else 0
        _drop_job(engines, r, head.job_head)
    head.left_head = NONE
    head.n_jobs = 0
    row = head.known_head
    while row != NONE:
        known = offload.rows[row]
        following = known.after
        known.n_jobs = 0
        known.void = 1
        for g in range(offload.tables.shape[1]):
            offload.tables[row, g].n_stored = 0
        if known.left != 0:
            known.ended = 1
            forget_if_done(engines, r, row)
        row = following
    empty_memory(engines, r)
