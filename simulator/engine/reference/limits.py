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
    most = most_tokens(config)
    if isl + osl > config.max_model_len or 1 + config.num_speculative_tokens > most:
        return False
    longest = isl + osl - 1
    if not config.enable_chunked_prefill and longest > most:
        return False
    drafts = config.num_speculative_tokens if osl > 1 else 0
    reach = min(longest + drafts + lookahead_tokens(config), config.max_model_len)
    blocks = request_blocks(config, reach) if config.modes.groups else -(-reach // config.block_size)
    return blocks <= config.num_blocks - 1


def most_tokens(config: EngineConfig) -> int:
    """Tokens that a request alone may get in a step: those of a plan, or of its inputs less the drafter's slots."""
    inputs = config.max_num_batched_tokens
    return min(inputs - config.draft_slots, config.modes.max_num_scheduled_tokens or inputs)


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
