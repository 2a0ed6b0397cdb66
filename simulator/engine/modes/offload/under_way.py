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
def call_model(engines: Engines, r: int, place: int) -> None:
    """The model is called: a load begins, and what was asked for with the call before is stored.

    A store that somebody waits for begins at once and is done with this call.
    """
    offload = engines.offload
    head = offload.replicas[r]
    head.call += 1
    n_stored, n_loaded = head.n_void, 0
    head.n_void = 0
    n = head.job_head
    while n != NONE:
        job = offload.jobs[r, n]
        if job.state == WAITS or (job.state == ORDERED and job.flushed != 0):
            job.state = BEGUN
            job.due = head.call + asked_of(engines, offload.rows[job.row].request, STORE_CALLS)
        elif job.state == ORDERED:
            job.state = WAITS
        if job.flushed != 0:
            job.due = head.call
            job.flushed = 0
        if job.state == BEGUN and job.due <= head.call:
            job.state = DONE
            job.place = place
            n_stored += 1
        n = job.after
    row = head.known_head
    while row != NONE:
        known = offload.rows[row]
        if known.load == ORDERED:
            known.load = BEGUN
            known.due = head.call + asked_of(engines, known.request, LOAD_CALLS)
        if known.load == BEGUN and (known.due <= head.call or known.void != 0):
            known.load = DONE
            known.place = place
            n_loaded += 1
        row = known.after
    if len(engines.log) > 0 and n_stored + n_loaded > 0:
        write_log(engines, LOG_COPY, NONE, n_stored, n_loaded)


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
