"""Plans in flight: what the scenario asks for, what vLLM would make of it, and what is simulated."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalog.overheads import row_of, version_key
from simulator.engine.modes.refusals import Asked, settle
from simulator.engine.modes.spec import Flight
from simulator.engine.rules import V0_32
from simulator.errors import InputError, Problem
from simulator.resolve.changes import Change
from simulator.schema.engine import EngineSettings

_ASYNC = Flight(depth=2, asynchronous=True)


@dataclass(frozen=True, slots=True)
class Planning:
    """How an engine's steps are planned.

    Attributes
    ----------
    flight : plans in flight that are simulated
    asynchronous : whether the host's work hides behind the device and the wait for a plan is simulated; None takes the
        times of the version, where it schedules asynchronously with that wait as a part of a request's overhead
    changes : what was turned off
    """

    flight: Flight | None = None
    asynchronous: bool | None = None
    changes: tuple[Change, ...] = ()


PLAIN = Planning()


def planning(settings: EngineSettings, pp: int, version: str) -> Planning:
    """Plans in flight of a pool's engines: as vLLM does where nothing, or `auto`, is asked for.

    `true` is refused where vLLM refuses it or it is not simulated; else it is turned off there, with a warning where
    vLLM gives one or would have it.

    Parameters
    ----------
    version : of vLLM, whose rules hold

    Raises
    ------
    InputError : asynchronous scheduling that vLLM refuses, or that is not simulated; drafts in a pipeline that a
        recorded version schedules synchronously
    """
    asked = settings.async_scheduling
    missing = _not_simulated(settings, pp)
    drafts = settings.speculative_config is not None
    synchronous = Flight(pp, False, stages=pp) if pp > 1 and missing is None and not drafts else None
    if asked is False:
        if pp > 1 and drafts and _is_vllm(settings):
            raise InputError(Problem(f"{_refused(settings, pp, version)}", path="engine.async_scheduling", got="false"))
        return Planning(synchronous, False)
    if asked is None and not _is_vllm(settings):
        return Planning(synchronous)
    refused = _refused(settings, pp, version)
    if refused is None and missing is None:
        return Planning(_ASYNC if pp == 1 else Flight(pp + 1, True, eligible_after=pp, stages=pp), True)
    if pp > 1 and settings.speculative_config and refused and asked is not True and _is_v2(settings, version):
        stands = _refused(settings.model_copy(update={"async_scheduling": False}), pp, version)
        method = settings.speculative_config.method
        raise InputError(Problem(f"{refused}; {stands}", path="engine.speculative_config.method", got=method))
    words = refused or missing
    if asked is True:
        raise InputError(Problem(f"{words}: leave it out, or take auto", path="engine.async_scheduling", got="true"))
    return Planning(
        synchronous, None if refused is None else False, (Change("async_scheduling", f"auto is off: {words}"),)
    )


def _is_vllm(settings: EngineSettings) -> bool:
    """Whether the engine is a vLLM that schedules asynchronously unless told not to."""
    rows = row_of(settings.version)
    return rows.async_scheduling and settings.batching == "continuous" and settings.throughput is None


def _is_v2(settings: EngineSettings, version: str) -> bool:
    """Whether the V2 model runner is the default, as in all versions that were recorded."""
    return version_key(settings.version or version)[:2] >= version_key(V0_32.version)[:2]


def _refused(settings: EngineSettings, pp: int, version: str) -> str | None:
    """What vLLM refuses, or turns off by itself."""
    drafts = settings.speculative_config
    if settings.async_scheduling == "auto" and not row_of(settings.version).async_scheduling:
        return f"vLLM {settings.version} does not schedule asynchronously unless told to"
    asked = Asked(
        async_scheduling=settings.async_scheduling if isinstance(settings.async_scheduling, bool) else None,
        pipeline_parallel_size=pp,
        use_v2_model_runner=_is_v2(settings, version),
        method=drafts.method if drafts else "",
        num_speculative_tokens=drafts.num_speculative_tokens if drafts else 0,
    )
    found = (finding for finding in settle(asked, version)[1] if finding.key == "async_scheduling")
    return next((finding.message for finding in found), None)


def _not_simulated(settings: EngineSettings, pp: int) -> str | None:
    if settings.batching != "continuous":
        return f"asynchronous scheduling is vLLM's, batching {settings.batching} is not"
    if pp > 1 and (settings.profile or settings.throughput):
        return "of a pipeline whose steps are measured or given the plans in flight are not known"
    return None
