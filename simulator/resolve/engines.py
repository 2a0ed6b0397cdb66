"""From a pool of the scenario to an engine: model, memory, limits and step time, each from the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import ParamSpec

import numpy as np
from numpy.typing import NDArray

from simulator.catalog.expected import expected_error
from simulator.catalog.gpus import Gpu
from simulator.catalog.overheads import engine_overheads, rendering_s, version_key
from simulator.catalog.profiles import check_profile, read_profile
from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.modes.offload.spec import with_offload
from simulator.engine.modes.spec import Drafts, Flight, Modes
from simulator.engine.rules import V0_32, V0_33, RuleSet
from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture
from simulator.perf.bounds import TokenBound, max_tokens_per_gpu_s
from simulator.perf.composition import kernel_step_time, missing_kernel
from simulator.perf.device import BatchLimits, Layout, check_layout
from simulator.perf.hardware import Hardware
from simulator.perf.power import PowerCurve, power_w_by_seqs
from simulator.perf.roofline import roofline_step_time
from simulator.perf.speculative import Drafting
from simulator.perf.steptime import StepTime
from simulator.resolve.brought import NOTHING, Brings, modes_brought, notes_of_brought
from simulator.resolve.cache_modes import check_cache_modes
from simulator.resolve.changes import Change, changes_of_cache
from simulator.resolve.checkpoint import architecture, layout_of, weight_format
from simulator.resolve.drafting import drafting_of, drafts_of, odds_by_class, odds_of
from simulator.resolve.flight import PLAIN, Planning, planning
from simulator.resolve.given import NO_BOUND, given_step_time
from simulator.resolve.hardware import Machine, machine_of
from simulator.resolve.kv_blocks import KvBlocks, kv_blocks, notes_of, notes_of_cache, question
from simulator.resolve.memory import notes_of_formats, shape_of
from simulator.resolve.offloading import check_offloading, offloading
from simulator.resolve.refused import as_made, asked_for, check_refused
from simulator.resolve.state_notes import notes_of_state
from simulator.scenario.named_files import is_config
from simulator.schema.base import Settings
from simulator.schema.engine import EngineSettings
from simulator.schema.hardware import HardwareSettings

Given = ParamSpec("Given")

_DIFFERENT = 64
_BATCHING = {
    "continuous": Batching.CONTINUOUS,
    "static": Batching.STATIC,
    "one_at_a_time": Batching.ONE_AT_A_TIME,
}


@dataclass(frozen=True, slots=True)
class PlannedEngine:
    """One replica, planned: what the simulation runs and what the checks and the report say of it.

    Attributes
    ----------
    model : name in the catalog, or of the architecture of a config.json, wherever that lies
    power_is_given, speed_is_given : by the scenario, not from the catalog, or as a throughput
    is_latent : the model has latent attention (MLA), and no such model was measured serving
    notes : warnings: what vLLM changes, and of the step time's source, as engine limits beyond what was measured
    changes : of them, what becomes of keys of the scenario
    """

    model: str
    config: EngineConfig
    step_time: StepTime
    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    memory: KvBlocks
    layout: Layout
    machine: Machine
    bound: TokenBound
    weight_bytes_total: float
    power_w_by_seqs: NDArray[np.float64]
    power_is_given: bool = False
    speed_is_given: bool = False
    is_latent: bool = False

    @property
    def gpu(self) -> Gpu:
        return self.machine.gpu


def _once(plan: Callable[Given, PlannedEngine]) -> Callable[Given, PlannedEngine]:
    """Plan what was planned a moment ago no second time, where no file is read: a search asks at every size."""
    known: dict[tuple[object, ...], PlannedEngine] = {}
    form = signature(plan)

    @wraps(plan)
    def planned(*args: Given.args, **kwargs: Given.kwargs) -> PlannedEngine:
        given = form.bind(*args, **kwargs)
        given.apply_defaults()
        asked = given.arguments
        if _reads_files(asked["name"], asked["settings"], asked["folder"], asked["own"]):
            return plan(*args, **kwargs)
        key = tuple(
            one.model_dump_json(exclude_unset=True) if isinstance(one, Settings) else one for one in asked.values()
        )
        if key not in known:
            found = plan(*args, **kwargs)
            if len(known) >= _DIFFERENT:
                del known[next(iter(known))]
            known[key] = found
        return known[key]

    return planned


def _reads_files(name: str, settings: EngineSettings, folder: Path, own: HardwareSettings | str | None) -> bool:
    drafting = settings.speculative_config
    models = (name, *([drafting.model] if drafting is not None and drafting.model else []))
    return settings.profile is not None or isinstance(own, str) or any(is_config(folder, model) for model in models)


@_once
def plan_engine(
    name: str,
    gpu_name: str,
    tp: int,
    pp: int,
    settings: EngineSettings,
    folder: Path,
    role: str = "both",
    own: HardwareSettings | str | None = None,
    brought: Brings = NOTHING,
) -> PlannedEngine:
    """Plan one replica.

    Parameters
    ----------
    role : whether it computes prompts, answers, or both
    own : what differs of the user's hardware, or the file that says it
    brought : what requests bring that it has modes for

    Raises
    ------
    InputError : unknown name, a precision that the GPU lacks, a split that does not divide, a model that does not fit
    """
    arch, native = architecture(name, folder)
    machine = machine_of(gpu_name, own, folder)
    card = machine.gpu
    shape = shape_of(name, folder)
    weights = weight_format(settings, native, shape)
    parts = layout_of(settings, weights, tp, pp, machine.like or card.name)
    check_layout(arch, card.device, parts)
    drafting = drafting_of(settings, arch, folder)
    native_format = settings.quantization is None or bool(shape.quantization)
    asked = question(name, gpu_name, parts.split, settings, None if native_format else weights, folder)
    rules = _rules(settings.version)
    of_vllm = asked_for(settings, name, role, shape, native, folder, brought.adapters > 0)
    made = as_made(of_vllm, rules.version)
    asked = replace(
        asked,
        card=machine.card,
        max_model_len=made.max_model_len if made.max_model_len < of_vllm.max_model_len else settings.max_model_len,
        disable_hybrid_kv_cache_manager=made.disable_hybrid_kv_cache_manager,
        enable_lora=brought.adapters > 0,
    )
    connected = role != "both" or settings.kv_connector is not None or settings.kv_offloading_size is not None
    drafts = drafts_of(settings, rules, connected, of_vllm.mtp_modules)
    memory = kv_blocks(asked)
    parts = replace(parts, kv_value_bytes=memory.kv.value_bytes(shape))
    _check_groups(memory, role, pp, drafts)
    check_cache_modes(settings, role, bool(memory.groups))
    beside = offloading(settings, memory, parts, arch.is_mla and pp == 1, brought.most_copied)
    limits = _of_steps(settings, memory.limits, drafts)
    changes = check_refused(of_vllm, memory, rules.version)
    plans = planning(settings, pp, rules.version)
    changes += plans.changes + changes_of_cache(settings, memory, settings.version or rules.version)
    if settings.version is not None and version_key(settings.version)[:2] != version_key(rules.version)[:2]:
        unproven = f"the scheduler's rules are those of vLLM {rules.version}: none of {settings.version} was recorded"
        changes += (Change("version", unproven),)
    notes = machine.notes + memory.notes + tuple(map(str, changes)) + notes_of_brought(brought, settings, pp)
    modes = modes_brought(settings, brought, memory.limits, made.prefill_schedule_interval, pp)
    config = _config(settings, limits, memory, plans.flight, connected, modes, drafts, brought.classes)
    if beside is not None:
        config = replace(config, modes=with_offload(config.modes, beside))
        check_offloading(settings, role, config)
    profile = None if settings.profile is None else read_profile(folder / settings.profile)
    if profile is not None:
        check_profile(profile, arch, gpu_name, tp, pp, weights)
        notes += tuple(profile.beyond_range(limits))
        if drafting is not None:
            notes += ("the measured profile knows no drafts: their time is not in it",)
    bound = max_tokens_per_gpu_s(arch, card.device, parts, limits, config.num_speculative_tokens)
    if settings.throughput is not None:
        steps = given_step_time(settings.throughput, limits, bound, parts.gpus)
        notes, bound = (*notes, steps.origin), NO_BOUND
    elif profile is not None:
        steps = profile.step_time(limits)
    else:
        steps = step_time(arch, machine, parts, limits, settings, drafting, plans)
        measured = kernels_of(machine, arch, parts, drafting)
        notes += notes_of_formats(name, folder)
        notes += notes_of(arch.name, shape.unmodelled) + notes_of_state(arch, measured) + notes_of_cache(memory.kv)
    return PlannedEngine(
        model=(arch.name if is_config(folder, name) else name).lower(),
        config=config,
        step_time=steps,
        notes=notes,
        changes=changes,
        memory=memory,
        layout=parts,
        machine=machine,
        bound=bound,
        weight_bytes_total=memory.plan.weight_bytes_total,
        power_w_by_seqs=power_w_by_seqs(_power_curve(settings, machine.power), parts.gpus, limits.max_num_seqs),
        power_is_given=settings.gpu_power is not None,
        speed_is_given=settings.throughput is not None,
        is_latent=arch.is_mla,
    )


def _check_groups(memory: KvBlocks, role: str, pp: int, drafts: Drafts | None) -> None:
    """Refuse what vLLM does not have, or does not survive, with several KV cache groups.

    Raises
    ------
    InputError : groups that go from pipeline stages, or several MTP modules beside states for the prefix cache
    """
    if role != "both" and pp > 1 and memory.groups:
        problem = (
            "vLLM's NIXL connector does not send several KV cache groups from pipeline stages: take "
            "tensor_parallel_size instead, or engine.disable_hybrid_kv_cache_manager: true"
        )
        raise InputError(Problem(problem, path="pipeline_parallel_size", got=f"{pp}"))
    states = any(group.aligned for group in memory.groups)
    if states and drafts is not None and drafts.num_prefill_lookahead_tokens > 1:
        problem = (
            "vLLM starts, but can stand still: chunks end where a state is kept for the prefix cache, and must not "
            "leave less than several MTP modules read ahead; take 1 draft, or enable_prefix_caching: false"
        )
        got = f"{drafts.num_speculative_tokens}"
        raise InputError(Problem(problem, path="engine.speculative_config.num_speculative_tokens", got=got))


def _plan_tokens(settings: EngineSettings, limits: BatchLimits) -> int:
    """Most tokens of a plan, within the limits that memory is kept for."""
    return min(settings.max_num_scheduled_tokens or limits.max_num_batched_tokens, limits.max_num_batched_tokens)


def _of_steps(settings: EngineSettings, limits: BatchLimits, drafts: Drafts | None) -> BatchLimits:
    """Most inputs and sequences of a step: as many inputs as its plan has tokens, unless drafting takes some more."""
    inputs = limits.max_num_batched_tokens if drafts and drafts.slots else _plan_tokens(settings, limits)
    return BatchLimits(inputs, settings.max_num_active_seqs or limits.max_num_seqs)


def _power_curve(settings: EngineSettings, curve: PowerCurve) -> PowerCurve:
    given = settings.gpu_power
    return replace(curve, idle_w=given.idle_w, low_w=given.serving_w, span_w=0.0) if given else curve


def kernels_of(machine: Machine, arch: Architecture, layout: Layout, drafting: Drafting | None) -> Hardware | None:
    """The GPU's measured kernels, where it has all that the model and its drafter need; else its peaks are known."""
    hardware, parts = machine.hardware, [(arch, layout)]
    if drafting and drafting.draft:
        parts.append((drafting.draft, drafting.layout(layout)))
    if hardware is None or any(missing_kernel(part, hardware, split) for part, split in parts):
        return None
    return hardware


def step_time(
    arch: Architecture,
    machine: Machine,
    layout: Layout,
    limits: BatchLimits,
    settings: EngineSettings,
    drafting: Drafting | None = None,
    plans: Planning = PLAIN,
) -> StepTime:
    """Step time from the GPU's measured kernels, or from its published peaks where a kernel is missing.

    The expected error was measured without drafts, with experts on one node, and of no model with latent attention
    or layers with a state: else it is not known.

    Parameters
    ----------
    plans : whether its plans are in flight, and the host's work beside the GPU; where they are not simulated, a
        request's wait for the plan in flight is part of its overhead
    """
    in_flight = plans.flight is not None
    card, hardware = machine.gpu, kernels_of(machine, arch, layout, drafting)
    if hardware is None:
        return roofline_step_time(arch, card.device, layout, limits, card.coefficients, drafting, in_flight)
    overheads = engine_overheads(
        settings.version,
        machine.like or card.name,
        plans.asynchronous,
        fused=settings.fuse_allreduce_rms,
        captured_tokens=settings.max_cudagraph_capture_size,
    )
    overheads = replace(overheads, request_s=overheads.request_s + rendering_s(arch.name, settings.endpoint))
    step = kernel_step_time(arch, hardware, layout, limits, overheads, drafting, in_flight)
    drafts = drafting is not None and drafting.draft is not None
    if drafts or layout.is_wide(card.device) or arch.is_mla or arch.state:
        return step
    return replace(step, expected_error=expected_error(card.name, arch.experts > 0, machine.like))


def _rules(version: str | None) -> RuleSet:
    newer = version is not None and version_key(version)[:2] >= version_key(V0_33.version)[:2]
    return V0_33 if newer else V0_32


def _config(
    settings: EngineSettings,
    limits: BatchLimits,
    memory: KvBlocks,
    in_flight: Flight | None,
    connected: bool,
    brought: Modes,
    drafting: Drafts | None,
    classes: tuple[str, ...],
) -> EngineConfig:
    spec = settings.speculative_config
    odds = odds_of(spec)
    rules = _rules(settings.version)
    drafts = drafting.num_speculative_tokens if drafting else 0
    step_tokens, plan_tokens = memory.limits.max_num_batched_tokens, _plan_tokens(settings, memory.limits)
    if spec is not None and min(limits.max_num_batched_tokens, plan_tokens + 1) < drafts + 2:
        raise InputError(
            Problem(
                f"a step must have room for a token, its {drafts} drafts and the drafter's own input: set "
                f"max_num_batched_tokens (and max_num_scheduled_tokens, if it is less) to at least {drafts + 2}",
                path="engine.speculative_config.num_speculative_tokens",
                got=f"{drafts}",
            )
        )
    in_flight_tokens = step_tokens * (in_flight.depth if in_flight else 1)
    return EngineConfig(
        num_blocks=settings.num_gpu_blocks_override or memory.num_blocks,
        block_size=memory.block_size,
        max_num_batched_tokens=limits.max_num_batched_tokens,
        max_num_seqs=limits.max_num_seqs,
        max_model_len=memory.max_model_len,
        enable_prefix_caching=memory.prefix_caching,
        enable_chunked_prefill=settings.enable_chunked_prefill,
        long_prefill_token_threshold=settings.long_prefill_token_threshold,
        policy=Policy.PRIORITY if settings.scheduling_policy == "priority" else Policy.FCFS,
        reserve_full_isl=settings.scheduler_reserve_full_isl,
        watermark=settings.watermark,
        batching=_BATCHING[settings.batching],
        num_speculative_tokens=drafts,
        num_lookahead_tokens=drafting.num_lookahead_tokens if drafting else 0,
        draft_acceptance=odds.acceptance,
        acceptance_by_position=odds.by_position,
        acceptance_std=odds.std,
        drafted_share=odds.drafted_share,
        drafted_run_steps=odds.run_steps,
        odds_by_class=odds_by_class(spec, classes),
        draft_slots=drafting.slots if drafting else 0,
        drop_last_hit_block=drafting is not None
        and drafting.reads_hidden_states
        and drafting.num_hash_lookahead_tokens == 0,
        rules=rules,
        modes=replace(
            brought,
            groups=memory.groups,
            chunks_end_at_states=any(group.aligned for group in memory.groups),
            max_in_flight_tokens=in_flight_tokens if memory.groups else 0,
            max_num_scheduled_tokens=plan_tokens if plan_tokens < step_tokens else 0,
            adaptive_cap_tokens=step_tokens if plan_tokens < step_tokens else 0,
            flight=in_flight,
            drafts=drafting,
            connector=connected,
            stores=settings.kv_connector is not None,
        ),
    )
