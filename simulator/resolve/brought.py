"""What requests of a scenario bring that its engines have modes for: adapters, pictures, grammars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.engine.modes.offload.spec import NO_LIMIT
from simulator.engine.modes.spec import Encoder, Modes, Waves
from simulator.errors import InputError, Problem
from simulator.perf.device import BatchLimits
from simulator.resolve.demand import length_of
from simulator.schema.engine import EngineSettings
from simulator.schema.workload import RequestClass
from simulator.workload.lengths import length_bounds


@dataclass(frozen=True, slots=True)
class Brings:
    """What requests of any class bring.

    Attributes
    ----------
    adapters : most that any class tells apart
    largest_image_tokens : 0 without pictures
    grammars : whether answers may follow one
    classes : their names, in order
    most_copied : of each class, most tokens of a request that the memory of the CPU gives and takes, or `NO_LIMIT`
    """

    adapters: int = 0
    largest_image_tokens: int = 0
    grammars: bool = False
    classes: tuple[str, ...] = ()
    most_copied: tuple[tuple[int, int], ...] = ()


NOTHING = Brings()


def brings(classes: tuple[RequestClass, ...], folder: Path) -> Brings:
    """What requests of these classes bring; files are in `folder`."""
    return Brings(
        max((cls.adapters.number for cls in classes if cls.adapters), default=0),
        max((length_bounds(length_of(cls.images.tokens, folder))[1] for cls in classes if cls.images), default=0),
        any(cls.structured_outputs for cls in classes),
        tuple(cls.name for cls in classes),
        tuple(_most_copied(cls) for cls in classes) if any(cls.kv_transfer_params for cls in classes) else (),
    )


def _most_copied(cls: RequestClass) -> tuple[int, int]:
    own = cls.kv_transfer_params
    limits = (own.max_load_tokens, own.max_offload_tokens) if own else (None, None)
    load, store = (NO_LIMIT if limit is None else limit for limit in limits)
    return load, store


def modes_brought(settings: EngineSettings, brought: Brings, limits: BatchLimits, interval: int, stages: int) -> Modes:
    """Modes that requests and settings ask for, beside those of blocks, drafts and plans in flight.

    vLLM's encoder computes as many embeddings in a step, and keeps as many, as a step has tokens, or as the largest
    picture.

    Parameters
    ----------
    limits : those that memory is kept for
    interval : plans from one with prompts to the next
    stages : of the pipeline

    Raises
    ------
    InputError : a picture that has to fit a step whole and does not, ranks whose plans are held back together, or
        batching that is not vLLM's
    """
    tokens, largest = limits.max_num_batched_tokens, brought.largest_image_tokens
    if settings.disable_chunked_mm_input and largest > tokens:
        problem = (
            f"a picture of {largest} tokens does not fit a step whole: raise max_num_batched_tokens ({tokens}), or let"
            " a step compute a part of it"
        )
        raise InputError(Problem(problem, path="engine.disable_chunked_mm_input", got="true"))
    if interval > 1 and settings.data_parallel_size > 1:
        problem = "ranks that hold prompts back together are not simulated: leave it out with data_parallel_size"
        raise InputError(Problem(problem, path="engine.prefill_schedule_interval", got=f"{interval}"))
    budget = max(tokens, largest)
    found = Modes(
        adaptive_prefill_cap=settings.long_prefill_token_threshold_adaptive,
        encoder=Encoder(budget, budget, settings.disable_chunked_mm_input) if largest else None,
        max_loras=settings.max_loras if brought.adapters else 0,
        grammars=brought.grammars,
        waves=_waves(settings, interval, stages),
    )
    if settings.batching != "continuous" and found != Modes():
        problem = "adapters, pictures, grammars and prompts that are held back are of vLLM's own batching: continuous"
        raise InputError(Problem(problem, path="engine.batching", got=settings.batching))
    return found


def _waves(settings: EngineSettings, interval: int, stages: int) -> Waves | None:
    """Ranks that share experts step together, where `_steps_apart` has nothing against it."""
    if settings.data_parallel_size > 1 and not _steps_apart(settings, stages):
        return Waves(settings.data_parallel_size, lock_step=True)
    return Waves(1, interval) if interval > 1 else None


def _steps_apart(settings: EngineSettings, stages: int) -> str:
    """Of which replicas it is not simulated that they step together; empty for those of which it is."""
    if stages > 1:
        return "with pipeline stages"
    if settings.throughput is not None:
        return "whose throughput is given"
    return "" if settings.batching == "continuous" else "whose batches are not vLLM's"


def notes_of_brought(brought: Brings, settings: EngineSettings, stages: int) -> tuple[str, ...]:
    """What the figures do not have of it, and of replicas of so many pipeline stages that share their experts."""
    notes: tuple[str, ...] = ()
    ranks, which = settings.data_parallel_size, _steps_apart(settings, stages)
    if ranks > 1 and which:
        notes += (
            f"data parallelism: {ranks} replicas share experts and step each for itself: that they wait for the slowest"
            f" is not simulated of replicas {which}",
        )
    elif ranks > 1:
        notes += (
            f"data parallelism: {ranks} replicas step together and wait for the slowest; the empty batches of idle ones"
            " are not in their energy",
        )
    if brought.most_copied and settings.kv_offloading_size is None:
        notes += ("kv_transfer_params: without engine.kv_offloading_size there is no memory of the CPU to limit",)
    if brought.adapters:
        notes += ("adapters: who is scheduled with whom is simulated, and their memory, not the time they take",)
    if brought.largest_image_tokens:
        notes += ("images: which are encoded when is simulated, not the time that the vision encoder takes",)
    return notes
