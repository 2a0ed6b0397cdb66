"""What vLLM refuses, and what it turns off by itself, when modes are asked for together: one row a rule.

Sources: vLLM 0.32.0 and 0.33.0, `config/vllm.py` (`__post_init__`, `_validate_v1_model_runner`), `config/scheduler.py`,
`engine/arg_utils.py`, `model_executor/models/config.py`, `v1/core/kv_cache_coordinator.py`, `platforms/cpu.py`,
`distributed/kv_transfer/kv_connector/v1/offloading/config.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from simulator.engine.modes.drafts.methods import (
    DRAFTS_ON_DEVICE,
    READS_HIDDEN_STATES,
    draft_slots,
    lookahead_slots,
)
from simulator.engine.modes.spec import GroupKind
from simulator.engine.rules import RULE_SETS, V0_32, V0_33

_V1_ONLY = {
    V0_32.version: ("suffix", "custom_class", "medusa", "mlp_speculator"),
    V0_33.version: ("suffix", "custom_class"),
}
_BOTH = tuple(RULE_SETS)


class Effect(Enum):
    """What becomes of a key: the engine does not start, vLLM changes it and says so, or says nothing."""

    REFUSED = "refused"
    CHANGED = "changed with a warning"
    SILENT = "changed in silence"


@dataclass(frozen=True, slots=True)
class Asked:
    """An engine as it is asked for, in vLLM's names; None is left to vLLM.

    Attributes
    ----------
    method, num_speculative_tokens, drafts_by_batch_size : speculative decoding; no method is none
    mtp_modules : layers of `mtp` that draft one token each in turn
    mtp_layers : layers of `mtp` that are loaded; 0: as many
    layers : kinds of the model's layers
    offloads : KV blocks are kept in the memory of the CPU as well
    connector_takes_groups : the KV connector can carry hybrid groups (vLLM `SupportsHMA`); None without a connector
    mamba_cache_mode : `none` or `align`
    dtype, kv_cache_dtype : of activations, empty where it is not known, and of the KV cache
    draft_max_model_len : longest sequence that a draft model takes; None without one
    on_cpu : vLLM's CPU backend
    """

    async_scheduling: bool | None = None
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    use_v2_model_runner: bool = True
    method: str = ""
    num_speculative_tokens: int = 0
    mtp_modules: int = 1
    mtp_layers: int = 0
    drafts_by_batch_size: bool = False
    layers: frozenset[GroupKind] = frozenset({GroupKind.FULL})
    disable_hybrid_kv_cache_manager: bool | None = None
    offloads: bool = False
    connector_takes_groups: bool | None = None
    mamba_cache_mode: str = "none"
    enable_prefix_caching: bool = True
    enable_chunked_prefill: bool = True
    disable_chunked_mm_input: bool = False
    enable_lora: bool = False
    prefill_schedule_interval: int = 1
    block_size: int = 16
    max_num_batched_tokens: int = 8192
    max_num_seqs: int = 256
    max_num_active_seqs: int | None = None
    max_model_len: int = 8192
    long_prefill_token_threshold: int = 0
    dtype: str = "bfloat16"
    kv_cache_dtype: str = "auto"
    draft_max_model_len: int | None = None
    on_cpu: bool = False

    @property
    def reads_hidden_states(self) -> bool:
        return self.method in READS_HIDDEN_STATES

    @property
    def drafting_layers(self) -> int:
        """Of `mtp`, of which more drafts must be a multiple."""
        return self.mtp_layers or self.mtp_modules

    @property
    def plans_wait_for_drafts(self) -> bool:
        """Whether a plan needs the drafts of the step before it."""
        return bool(self.method) and self.method not in DRAFTS_ON_DEVICE

    @property
    def num_lookahead_tokens(self) -> int:
        return lookahead_slots(self.method, self.num_speculative_tokens)

    @property
    def draft_slots(self) -> int:
        return draft_slots(self.method, self.num_speculative_tokens)

    @property
    def draft_seqs(self) -> int:
        """Most requests whose draft pass fits into a step."""
        return self.max_num_batched_tokens // max(1, self.num_lookahead_tokens)

    @property
    def has_linear(self) -> bool:
        return GroupKind.LINEAR in self.layers

    @property
    def has_chunks(self) -> bool:
        return GroupKind.CHUNK in self.layers


@dataclass(frozen=True, slots=True)
class Finding:
    """One key that vLLM does not take as it is asked for.

    Attributes
    ----------
    key : name of the key, as vLLM has it
    message : what vLLM says, in substance
    """

    key: str
    effect: Effect
    message: str


@dataclass(frozen=True, slots=True)
class _Rule:
    key: str
    effect: Effect
    applies: Callable[[Asked], bool]
    message: str
    becomes: Callable[[Asked], dict[str, object]] | None = None
    versions: tuple[str, ...] = _BOTH


def _refused(key: str, applies: Callable[[Asked], bool], message: str, versions: tuple[str, ...] = _BOTH) -> _Rule:
    return _Rule(key, Effect.REFUSED, applies, message, versions=versions)


def _v1_only(version: str) -> _Rule:
    return _Rule(
        "speculative.method",
        Effect.CHANGED,
        lambda a: a.use_v2_model_runner and a.method in _V1_ONLY[version],
        "Model Runner V2 does not yet support speculative method '{method}'; the V1 model runner is used instead",
        lambda _: {"use_v2_model_runner": False},
        (version,),
    )


def _not_asynchronous(
    lacks: Callable[[Asked], bool], message: str, versions: tuple[str, ...] = _BOTH
) -> tuple[_Rule, _Rule]:
    """Asynchronous scheduling of such engines is refused where it is asked for, and off where it is left to vLLM."""
    asked_for = _Rule(
        "async_scheduling",
        Effect.REFUSED,
        lambda a: bool(a.async_scheduling) and lacks(a),
        message,
        versions=versions,
    )
    left_to_vllm = _Rule(
        "async_scheduling",
        Effect.CHANGED,
        lambda a: a.async_scheduling is None and lacks(a),
        message + "; it is turned off",
        lambda _: {"async_scheduling": False},
        versions,
    )
    return asked_for, left_to_vllm


def _no_room_for_drafts(version: str, takes: Callable[[Asked], int], what: str) -> _Rule:
    return _Rule(
        "speculative.num_speculative_tokens",
        Effect.REFUSED,
        lambda a: bool(a.method) and a.max_num_batched_tokens <= takes(a),
        "max_num_batched_tokens ({max_num_batched_tokens}) has no room for a token and the " + what,
        versions=(version,),
    )


_CONNECTOR_OFF = "the KV connector does not support hybrid groups, so the hybrid KV cache manager is turned off"
_DRAFTS_CHUNKS = "the hybrid KV cache manager does not support chunked local attention with EAGLE or MTP"
_RULES: tuple[_Rule, ...] = (
    *(_v1_only(version) for version in _BOTH),
    _refused(
        "speculative.method",
        lambda a: not a.use_v2_model_runner and a.method == "dspark",
        "Model Runner V1 does not support dspark speculative decoding",
    ),
    _Rule(
        "async_scheduling",
        Effect.SILENT,
        lambda a: a.on_cpu and a.async_scheduling is not False,
        "the CPU platform turns asynchronous scheduling off",
        lambda _: {"async_scheduling": False},
    ),
    *_not_asynchronous(
        lambda a: a.plans_wait_for_drafts,
        "asynchronous scheduling is only supported with EAGLE, MTP, a draft model, n-grams on the GPU, DSpark and"
        " DFlash, not with {method}-based speculative decoding",
        (V0_32.version,),
    ),
    *_not_asynchronous(
        lambda a: a.plans_wait_for_drafts and not a.use_v2_model_runner,
        "asynchronous scheduling is not supported by the V1 model runner with {method}-based speculative decoding",
        (V0_33.version,),
    ),
    *_not_asynchronous(
        lambda a: a.pipeline_parallel_size > 1 and not a.use_v2_model_runner,
        "asynchronous scheduling is not supported by the V1 model runner with pipeline parallelism",
    ),
    _refused(
        "async_scheduling",
        lambda a: a.async_scheduling is False and a.pipeline_parallel_size > 1 and bool(a.method),
        "vLLM starts, but in a synchronous pipeline the drafts of the newest plan are set before the oldest output is"
        " applied, and it stands still; speculative decoding with pipeline stages needs asynchronous scheduling",
    ),
    _Rule(
        "speculative.num_speculative_tokens_per_batch_size",
        Effect.CHANGED,
        lambda a: a.drafts_by_batch_size and a.data_parallel_size > 1,
        "drafts by batch size are not supported with data parallelism, since ranks could draft differently:"
        " num_speculative_tokens={num_speculative_tokens} is used throughout",
        lambda _: {"drafts_by_batch_size": False},
    ),
    _refused(
        "speculative.num_speculative_tokens",
        lambda a: a.mtp_modules > 1 and a.enable_prefix_caching and a.block_size < a.num_speculative_tokens,
        "several MTP modules with prefix caching need a block_size ({block_size}) of at least num_speculative_tokens"
        " ({num_speculative_tokens})",
    ),
    _refused(
        "speculative.num_speculative_tokens",
        lambda a: (
            a.method == "mtp"
            and a.num_speculative_tokens > a.drafting_layers
            and a.num_speculative_tokens % a.drafting_layers > 0
        ),
        "num_speculative_tokens ({num_speculative_tokens}) beyond the model's MTP modules ({drafting_layers}) must be"
        " a multiple of them",
    ),
    _no_room_for_drafts(V0_32.version, lambda a: a.draft_slots, "inputs of its drafts"),
    _no_room_for_drafts(V0_33.version, lambda a: a.num_lookahead_tokens, "slots of its drafts"),
    _Rule(
        "max_num_active_seqs",
        Effect.CHANGED,
        lambda a: a.method in ("dflash", "dspark") and a.draft_seqs < (a.max_num_active_seqs or a.max_num_seqs),
        "the draft pass of {method} takes more query tokens for each request than max_num_batched_tokens"
        " ({max_num_batched_tokens}) has for max_num_seqs ({max_num_seqs}), so fewer requests are active",
        lambda a: {"max_num_active_seqs": a.draft_seqs},
        (V0_33.version,),
    ),
    _refused(
        "enable_lora",
        lambda a: (
            a.enable_lora
            and bool(a.method)
            and a.max_num_batched_tokens < a.max_num_seqs * (a.num_speculative_tokens + 1)
        ),
        "with adapters max_num_batched_tokens ({max_num_batched_tokens}) must hold max_num_seqs ({max_num_seqs}) times"
        " 1 + num_speculative_tokens ({num_speculative_tokens}): increase the one or decrease the other",
    ),
    _refused(
        "enable_chunked_prefill",
        lambda a: a.has_linear and a.enable_prefix_caching and not a.enable_chunked_prefill,
        "chunked prefill is required for the prefix caching of linear attention",
    ),
    _refused(
        "enable_prefix_caching",
        lambda a: a.offloads and a.has_linear and len(a.layers) > 1 and not a.enable_prefix_caching,
        "models with a state beside attention need prefix caching to keep blocks in the memory of the CPU: it aligns"
        " their blocks",
    ),
    _Rule(
        "mamba_cache_mode",
        Effect.CHANGED,
        lambda a: a.has_linear and not a.enable_prefix_caching and a.mamba_cache_mode != "none",
        "mamba_cache_mode is set to 'none' when prefix caching is off",
        lambda _: {"mamba_cache_mode": "none"},
    ),
    _Rule(
        "mamba_cache_mode",
        Effect.SILENT,
        lambda a: a.has_linear and a.enable_prefix_caching and a.mamba_cache_mode == "none",
        "mamba_cache_mode is set to 'align' by default when prefix caching is on",
        lambda _: {"mamba_cache_mode": "align"},
    ),
    _refused(
        "disable_chunked_mm_input",
        lambda a: a.mamba_cache_mode == "align" and a.disable_chunked_mm_input,
        "linear attention with prefix caching needs chunked multimodal input, to end chunks at blocks within a picture",
    ),
    _refused(
        "disable_hybrid_kv_cache_manager",
        lambda a: a.disable_hybrid_kv_cache_manager is False and a.has_chunks and a.reads_hidden_states,
        _DRAFTS_CHUNKS,
    ),
    _Rule(
        "disable_hybrid_kv_cache_manager",
        Effect.SILENT,
        lambda a: a.disable_hybrid_kv_cache_manager is None and a.has_chunks and a.reads_hidden_states,
        _DRAFTS_CHUNKS + "; it is turned off",
        lambda _: {"disable_hybrid_kv_cache_manager": True},
    ),
    _Rule(
        "disable_hybrid_kv_cache_manager",
        Effect.CHANGED,
        lambda a: a.disable_hybrid_kv_cache_manager is None and a.connector_takes_groups is False and len(a.layers) > 1,
        _CONNECTOR_OFF,
        lambda _: {"disable_hybrid_kv_cache_manager": True},
    ),
    _refused(
        "kv_cache_dtype",
        lambda a: a.kv_cache_dtype in ("float16", "bfloat16") and a.dtype not in ("", a.kv_cache_dtype),
        "a KV cache in {kv_cache_dtype} is incompatible with a model in {dtype}: take auto or {dtype}",
        versions=(V0_33.version,),
    ),
    _Rule(
        "max_model_len",
        Effect.CHANGED,
        lambda a: a.use_v2_model_runner and (a.draft_max_model_len or a.max_model_len) < a.max_model_len,
        "the draft model takes sequences of {draft_max_model_len} tokens, and Model Runner V2 cannot skip drafting for"
        " longer ones: max_model_len ({max_model_len}) is reduced to that",
        lambda a: {"max_model_len": a.draft_max_model_len},
        (V0_33.version,),
    ),
    _refused(
        "max_num_batched_tokens",
        lambda a: not a.enable_chunked_prefill and a.max_num_batched_tokens < a.max_model_len,
        "max_num_batched_tokens ({max_num_batched_tokens}) is smaller than max_model_len ({max_model_len}), and without"
        " chunked prefill longer prompts would be rejected: increase the one or decrease the other",
    ),
    _refused(
        "max_num_batched_tokens",
        lambda a: a.max_num_batched_tokens < a.max_num_seqs,
        "max_num_batched_tokens ({max_num_batched_tokens}) must be at least max_num_seqs ({max_num_seqs})",
    ),
    _refused(
        "max_num_active_seqs",
        lambda a: (a.max_num_active_seqs or 0) > a.max_num_seqs,
        "max_num_active_seqs ({max_num_active_seqs}) cannot be greater than max_num_seqs ({max_num_seqs})",
    ),
    _refused(
        "long_prefill_token_threshold",
        lambda a: a.long_prefill_token_threshold > a.max_model_len,
        "long_prefill_token_threshold ({long_prefill_token_threshold}) cannot be greater than max_model_len"
        " ({max_model_len})",
    ),
    _Rule(
        "prefill_schedule_interval",
        Effect.SILENT,
        lambda a: a.prefill_schedule_interval > 1 and a.data_parallel_size == 1,
        "prefill_schedule_interval has no effect without data parallelism",
        lambda _: {"prefill_schedule_interval": 1},
        (V0_32.version,),
    ),
)


def settle(asked: Asked, version: str) -> tuple[Asked, list[Finding]]:
    """What vLLM makes of an engine, and each key that it refuses or changes, in the order in which it looks.

    Parameters
    ----------
    version : of vLLM; one that is not known is taken for the newest
    """
    known = version if version in RULE_SETS else _BOTH[-1]
    findings: list[Finding] = []
    for rule in _RULES:
        if known not in rule.versions or not rule.applies(asked):
            continue
        values = {name: getattr(asked, name) for name in (*Asked.__slots__, "drafting_layers")}
        findings.append(Finding(rule.key, rule.effect, rule.message.format(**values)))
        if rule.becomes:
            asked = replace(asked, **rule.becomes(asked))  # type: ignore[arg-type]
    if asked.async_scheduling is None:
        asked = replace(asked, async_scheduling=True)
    return asked, findings


def refusals(asked: Asked, version: str) -> list[Finding]:
    """Why vLLM would not start such an engine; empty if it would."""
    return [finding for finding in settle(asked, version)[1] if finding.effect is Effect.REFUSED]
