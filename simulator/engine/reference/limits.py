"""What an otherwise empty replica can serve."""

from __future__ import annotations

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import request_blocks
from simulator.engine.reference.kv_cache_manager import lookahead_tokens


def can_serve(config: EngineConfig, isl: int, osl: int) -> bool:
    """Whether an otherwise empty replica can bring such a request to its end; if not it is rejected at arrival.

    It must keep to `max_model_len`, its KV must fit into all blocks but the null block (the last token is never
    computed; drafts and lookahead slots are, up to `max_model_len`), and without chunked prefill all tokens that a
    preemption may make it recompute must fit into one step.
    """
    if isl + osl > config.max_model_len or config.max_num_batched_tokens < least_step_tokens(config):
        return False
    longest = isl + osl - 1
    if not config.enable_chunked_prefill and longest > config.max_num_batched_tokens - config.draft_slots:
        return False
    drafts = config.num_speculative_tokens if osl > 1 else 0
    reach = min(longest + drafts + lookahead_tokens(config), config.max_model_len)
    blocks = request_blocks(config, reach) if config.modes.groups else -(-reach // config.block_size)
    return blocks <= config.num_blocks - 1


def least_step_tokens(config: EngineConfig) -> int:
    """Inputs that a step must have room for: a decoding request with its padding, and its drafter's slots."""
    return 1 + config.num_speculative_tokens + config.draft_slots


def spec_decode_tokens(config: EngineConfig) -> int:
    """Tokens that a request's first decode step may hold beyond those known: its own, drafts and lookahead slots."""
    drafts = config.num_speculative_tokens
    return 1 + drafts + lookahead_tokens(config) if drafts > 0 else 0


def can_receive(config: EngineConfig, isl: int, osl: int) -> bool:
    """As `can_serve`, for a decode engine that fetches the prompt's KV: room must be left for a first decode step."""
    first, size = spec_decode_tokens(config), config.block_size
    blocks = -(-isl // size) + -(-first // size)
    if config.modes.groups:
        growing = [group for group in config.modes.groups if group.kind != GroupKind.LINEAR]
        blocks = request_blocks(config, isl) + sum(-(-first // group.block_size) for group in growing)
    return can_serve(config, isl, osl) and blocks <= config.num_blocks - 1
