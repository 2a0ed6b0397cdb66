"""Keys of a recording beyond plain serving: the engine's modes, and what requests bring for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulator.engine.modes.drafts.methods import READS_HIDDEN_STATES
from simulator.engine.modes.offload.spec import Offload, with_offload
from simulator.engine.modes.spec import Drafts, Encoder, Flight, GroupKind, KvGroup, Modes, Waves
from simulator.engine.rules import V0_32, RuleSet

PLAIN_CONFIG = frozenset(
    {
        "vllm_version",
        "num_gpu_blocks",
        "block_size",
        "max_num_batched_tokens",
        "max_num_seqs",
        "max_model_len",
        "enable_prefix_caching",
        "enable_chunked_prefill",
        "long_prefill_token_threshold",
        "policy",
        "scheduler_reserve_full_isl",
        "watermark",
    }
)
KINDS = {
    "full": GroupKind.FULL,
    "window": GroupKind.WINDOW,
    "chunk": GroupKind.CHUNK,
    "mamba": GroupKind.LINEAR,
}
"""Kinds of layers by their names in recordings."""
Check = Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _bits(value: Any) -> bool:
    return _text(value) and all(character.isdigit() for character in value)


def _wholes(value: Any) -> bool:
    return isinstance(value, list) and all(map(_whole, value))


def _rows_of(length: int) -> Check:
    return lambda value: isinstance(value, list) and all(_wholes(row) and len(row) == length for row in value)


def _encoded(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 2 and _whole(row[0]) and _wholes(row[1]) for row in value
    )


def _loop(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 2 and _whole(row[0]) and _text(row[1]) for row in value
    )


def _groups(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _images(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 3 and _whole(row[0]) and _whole(row[1]) and _text(row[2]) for row in value
    )


SPECULATIVE: dict[str, tuple[str, Check]] = {
    "method": ("a name", _text),
    "num_speculative_tokens": ("a whole number", _whole),
    "num_lookahead_tokens": ("a whole number", _whole),
    "num_prefill_lookahead_tokens": ("a whole number", _whole),
    "max_num_new_slots_for_drafting": ("a whole number", _whole),
    "eagle_block_drop": ("true or false", _flag),
    "num_hash_lookahead_tokens": ("a whole number", _whole),
    "per_batch_size": ("a list of [from, to, drafts]", _rows_of(3)),
}
GROUP: dict[str, tuple[str, Check]] = {
    "kind": (", ".join(KINDS), lambda value: _text(value) and value in KINDS),
    "layers": ("a whole number", _whole),
    "block_size": ("a whole number", lambda value: _whole(value) and value > 0),
    "sliding_window": ("a whole number", _whole),
    "attention_chunk_size": ("a whole number", _whole),
    "mamba_cache_mode": ("a name", _text),
    "num_speculative_blocks": ("a whole number", _whole),
    "num_prefill_checkpoint_blocks": ("a whole number", _whole),
    "prefill_checkpoint_alignment": ("a whole number", _whole),
    "is_eagle_group": ("true or false", _flag),
}
OFFLOAD: dict[str, tuple[str, Check]] = {
    "cpu_chunks": ("a whole number", _whole),
    "blocks_per_chunk": ("a whole number of at least 1", lambda value: _whole(value) and value > 0),
    "eviction_policy": ("lru or arc", lambda value: value in ("lru", "arc")),
    "store_threshold": ("a whole number", _whole),
    "max_tracker_size": ("a whole number", _whole),
    "offload_prompt_only": ("true or false", _flag),
}
CONFIG: dict[str, tuple[str, Check]] = {
    "async_scheduling": ("true or false", _flag),
    "max_num_scheduled_tokens": ("a whole number", _whole),
    "max_num_active_seqs": ("a whole number", _whole),
    "max_concurrent_batches": ("a whole number of at least 1", lambda value: _whole(value) and value > 0),
    "max_in_flight_tokens": ("a whole number", _whole),
    "use_v2_model_runner": ("true or false", _flag),
    "pipeline_parallel_size": ("a whole number", _whole),
    "kv_cache_groups": ("a list of objects", _groups),
    "hash_block_size": ("a whole number", _whole),
    "disable_hybrid_kv_cache_manager": ("true or false", _flag),
    "mamba_cache_mode": ("a name", _text),
    "need_mamba_block_aligned_split": ("true or false", _flag),
    "speculative": ("an object", lambda value: isinstance(value, dict)),
    "connector": ("an object", lambda value: isinstance(value, dict)),
    "offload": ("an object", lambda value: isinstance(value, dict)),
    "encoder_budget": ("a whole number", _whole),
    "encoder_cache": ("a whole number", _whole),
    "disable_chunked_mm_input": ("true or false", _flag),
    "max_loras": ("a whole number", _whole),
    "long_prefill_token_threshold_adaptive": ("true or false", _flag),
    "data_parallel_size": ("a whole number", _whole),
    "prefill_schedule_interval": ("a whole number", _whole),
    "dp_sync_interval": ("a whole number", _whole),
}
"""Keys of a recording's config that name modes: what each must be, and its check."""
REQUEST: dict[str, tuple[str, Check]] = {
    "accept": ("a string of 0 and 1", _bits),
    "drafts": ("a string of digits", _bits),
    "stop_after": ("a whole number", _whole),
    "salt": ("a name", _text),
    "lora": ("a whole number", _whole),
    "images": ("a list of [offset, tokens, name]", _images),
    "grammar_ready_step": ("a whole number", _whole),
    "transfer": ("an object", lambda value: isinstance(value, dict)),
    "load_steps": ("a whole number", _whole),
    "send_steps": ("a whole number", _whole),
    "store_steps": ("a whole number", _whole),
    "name": ("a name", _text),
    "arrival_order": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "n_parent": ("a whole number", _whole),
    "rank": ("a whole number", _whole),
}
"""Keys of a recorded request that modes need."""
STEP: dict[str, tuple[str, Check]] = {
    "spec": ("a list of [request id, drafts, accepted]", _rows_of(3)),
    "loads": ("a list of [request id, blocks]", _rows_of(2)),
    "recv": ("a list of request ids", _wholes),
    "sent": ("a list of request ids", _wholes),
    "stores": ("a list of [request id, chunks]", _rows_of(2)),
    "flushed": ("a list of request ids", _wholes),
    "stored": ("a list of request ids", _wholes),
    "encoder": ("a list of [request id, pictures]", _encoded),
    "finished": ("a list of request ids", _wholes),
    "throttled": ("true or false", _flag),
}
"""What a recorded step says beyond its plan."""
RECORDING: dict[str, tuple[str, Check]] = {"loop": ("a list of [iteration, a letter by rank]", _loop)}
"""What a recording has beside its requests and steps."""
TRANSFER: dict[str, tuple[str, Check]] = {
    "do_remote_prefill": ("true or false", _flag),
    "do_remote_decode": ("true or false", _flag),
    "stored_tokens": ("a whole number", _whole),
    "async_load": ("true or false", _flag),
    "max_load_tokens": ("a whole number", _whole),
    "max_offload_tokens": ("a whole number", _whole),
    "remote_block_ids": ("a list", lambda value: isinstance(value, list)),
    "remote_engine_id": ("a name", _text),
    "remote_request_id": ("a name", _text),
    "remote_host": ("a name", _text),
    "remote_port": ("a whole number", _whole),
    "tp_size": ("a whole number", _whole),
}


def modes_from(config: Mapping[str, Any], rules: RuleSet) -> Modes:
    """Modes of a recording's config, which must be sound; a key without a value is as good as absent."""
    config = {key: value for key, value in config.items() if value is not None}
    depth = config.get("max_concurrent_batches", 1)
    asynchronous = bool(config.get("async_scheduling"))
    groups = tuple(_group(row) for row in config.get("kv_cache_groups", ()))
    plain = all(group.kind == GroupKind.FULL for group in groups) and len(groups) <= 1
    flight = None
    if depth > 1 or asynchronous:
        stages = config.get("pipeline_parallel_size", 1) if config.get("use_v2_model_runner") else 0
        flight = Flight(depth, asynchronous, stages)
    encoder = None
    if config.get("encoder_budget"):
        whole = bool(config.get("disable_chunked_mm_input"))
        encoder = Encoder(config["encoder_budget"], config.get("encoder_cache", config["encoder_budget"]), whole)
    scheduled = config.get("max_num_scheduled_tokens", 0)
    made = Modes(
        groups=() if plain else groups,
        chunks_end_at_states=_chunks_end_at_states(config, groups, rules),
        max_in_flight_tokens=config.get("max_in_flight_tokens", 0),
        max_num_scheduled_tokens=0 if scheduled == config["max_num_batched_tokens"] else scheduled,
        adaptive_prefill_cap=bool(config.get("long_prefill_token_threshold_adaptive")),
        flight=flight,
        drafts=_drafts(config["speculative"], not rules.drops_last_hit_block) if config.get("speculative") else None,
        connector=bool(config.get("connector")),
        encoder=encoder,
        max_loras=config.get("max_loras", 0) or 0,
        waves=_waves(config),
    )
    return with_offload(made, _offload(config["offload"])) if config.get("offload") else made


def _chunks_end_at_states(config: Mapping[str, Any], groups: Sequence[KvGroup], rules: RuleSet) -> bool:
    """Both versions do; recordings of 0.33 that do not say so had their cache mode in the layers alone."""
    aligned = any(group.aligned for group in groups)
    return bool(config.get("need_mamba_block_aligned_split", aligned and rules == V0_32))


def _waves(config: Mapping[str, Any]) -> Waves | None:
    ranks, interval = config.get("data_parallel_size", 1), config.get("prefill_schedule_interval", 1)
    return Waves(ranks, interval, config.get("dp_sync_interval", 16)) if ranks > 1 or interval > 1 else None


def _offload(raw: Mapping[str, Any]) -> Offload:
    return Offload(
        raw["cpu_chunks"],
        raw["blocks_per_chunk"],
        raw["eviction_policy"] == "arc",
        raw["store_threshold"],
        raw["max_tracker_size"],
        raw["offload_prompt_only"],
    )


def _group(row: Mapping[str, Any]) -> KvGroup:
    window = row.get("sliding_window") or row.get("attention_chunk_size") or 0
    return KvGroup(
        KINDS[row["kind"]],
        row["block_size"],
        window,
        row.get("mamba_cache_mode") == "align",
        row.get("num_speculative_blocks", 0),
        bool(row.get("is_eagle_group")),
        row.get("num_prefill_checkpoint_blocks", 0) > 0,
    )


def _drafts(raw: Mapping[str, Any], reads_ahead: bool) -> Drafts:
    ahead = raw.get("num_prefill_lookahead_tokens", 0)
    hashes_ahead = reads_ahead and not raw.get("eagle_block_drop") and raw.get("method") in READS_HIDDEN_STATES
    return Drafts(
        num_speculative_tokens=raw.get("num_speculative_tokens", 0),
        num_lookahead_tokens=raw.get("num_lookahead_tokens", 0),
        reads_hidden_states=raw.get("method") in READS_HIDDEN_STATES,
        num_prefill_lookahead_tokens=ahead,
        num_hash_lookahead_tokens=raw.get("num_hash_lookahead_tokens", ahead if hashes_ahead else 0),
        slots=raw.get("max_num_new_slots_for_drafting", 0),
        by_batch_size=tuple((low, high, drafts) for low, high, drafts in raw.get("per_batch_size") or ()),
    )
