"""Linear attention with the prefix cache: chunks end where a state is kept."""

from __future__ import annotations

from simulator.engine.modes.tables.reference import chunk_end
from simulator.engine.reference.doors import Plain
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import Request


class TablesRoom(Plain):
    """Cuts chunks at block boundaries (vLLM `_mamba_block_aligned_split`)."""

    no_tokens_stop = True

    def cut(self, plan: Plan, request: Request, n: int, computed: int) -> int:
        config = self.scheduler.config
        most = config.modes.max_num_scheduled_tokens or config.max_num_batched_tokens
        if config.long_prefill_token_threshold:
            most = min(most, config.long_prefill_token_threshold)
        limits = self.scheduler.kv_cache_manager.limits
        return chunk_end(request, n, computed, config.block_size, most, limits)
