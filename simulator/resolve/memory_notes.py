"""What makes a memory plan unsure: a GPU that shares its memory, a version that was not read, a start that compiles."""

from __future__ import annotations

from dataclasses import replace

from simulator.catalog.vllm import first_start, newest_version, parsed
from simulator.resolve.cards import notes_of_card
from simulator.resolve.memory import Answer, answer
from simulator.units import BYTES_PER_GIB


def notes_of_version(version: str | None) -> tuple[str, ...]:
    """That nothing is known of a version newer than all whose source was read."""
    newest = newest_version()
    if not version or parsed(version) <= parsed(newest):
        return ()
    return (
        f"vLLM {version}: the memory plan's rules were read up to {newest} and are taken from there; what changed "
        "since is not in them",
    )


def notes_of_plan(found: Answer) -> tuple[str, ...]:
    """All of a plan, in words."""
    notes = notes_of_card(found.card, found.request.kv_cache_memory_bytes) + notes_of_version(found.question.version)
    return notes + _of_first_start(found)


def _of_first_start(found: Answer) -> tuple[str, ...]:
    """What a start has less that compiles the model within its profile, where the version counts that.

    Where GPU and processors share a memory, the card's own note has it.
    """
    kept = found.request.kv_cache_memory_bytes is not None
    measured = not kept and not found.card.host_memory
    if not found.plan.fits or not measured or found.request.enforce_eager or not found.rules.compiling_counts:
        return ()
    taken = first_start()
    low, high = (size / BYTES_PER_GIB for size in (taken.low or taken.value, taken.high or taken.value))
    told = (
        f"a first start, which compiles the model, finds about {taken.value / BYTES_PER_GIB:.1f} GiB less for the KV "
        f"cache ({low:.1f} to {high:.1f} logged) than the plan, which is of a start with vLLM's cache of compiled "
        "models"
    )
    left = found.plan.terms.kv_bytes - taken.value
    if left <= 0 or not _fits(found, left):
        told += f", and so little that vLLM may refuse max_model_len {found.plan.max_model_len:,}: start it once more"
    return (told,)


def _fits(found: Answer, kv_bytes: float) -> bool:
    """Whether the engine starts with so much for its blocks."""
    return answer(replace(found.question, kv_cache_memory_bytes=int(kv_bytes))).plan.fits
