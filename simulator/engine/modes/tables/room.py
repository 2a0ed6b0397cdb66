"""How many requests a KV cache holds at once, and how long one may be, with one block table or several groups."""

from __future__ import annotations

from bisect import bisect_right

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.modes.tables.arrays import request_blocks

_NULL_BLOCKS = 1


def requests_at_once(config: EngineConfig, tokens: float) -> float:
    """Requests of `tokens` tokens that the blocks hold while they decode.

    A window of W tokens in blocks of b holds :math:`\\lceil (W - 1) / b \\rceil + 1` of them.
    """
    free = config.num_blocks - _NULL_BLOCKS
    if not config.modes.groups:
        return free * config.block_size / tokens
    return free / sum(_decoding_blocks(group, tokens) for group in config.modes.groups)


def _decoding_blocks(group: KvGroup, tokens: float) -> float:
    size = group.block_size
    match group.kind:
        case GroupKind.WINDOW:
            return min(tokens / size, -(-(group.window_tokens - 1) // size) + 1)
        case GroupKind.CHUNK:
            return min(tokens, group.window_tokens) / size
        case GroupKind.LINEAR:
            return 1.0 + group.draft_states
        case _:
            return tokens / size


def longest_request(config: EngineConfig) -> int:
    """Tokens of the longest request that the blocks hold, at most `max_model_len`."""
    free = config.num_blocks - _NULL_BLOCKS
    if not config.modes.groups:
        return min(config.max_model_len, free * config.block_size)
    longest = range(1, config.max_model_len + 1)
    return bisect_right(longest, free, key=lambda tokens: request_blocks(config, tokens))
