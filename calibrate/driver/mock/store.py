"""A KV connector whose store has the first `stored_tokens` of a prompt; loads with the step, or apart from it."""

from __future__ import annotations

from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata, SupportsHMA


class _Loads(KVConnectorMetadata):  # type: ignore[misc]
    def __init__(self, loads: dict[str, Any]) -> None:
        self.reqs_to_recv = loads
        self.reqs_to_send: dict[str, Any] = {}


class _Blocks:
    def __init__(self, ids: list[list[int]]) -> None:
        self.local_block_ids = ids


class StoreConnector(KVConnectorBase_V1, SupportsHMA):  # type: ignore[misc]
    """Like vLLM's example and offloading connectors: full blocks, never the last token of the prompt."""

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any = None) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._block_size = vllm_config.cache_config.block_size
        self._loading: dict[str, Any] = {}

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int, bool]:
        params = request.kv_transfer_params or {}
        stored = min(params.get("stored_tokens", 0), request.num_tokens - 1) // self._block_size * self._block_size
        extra = max(stored - num_computed_tokens, 0)
        return extra, bool(extra and params.get("async_load"))

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        if num_external_tokens and (request.kv_transfer_params or {}).get("async_load"):
            ids = [[b.block_id for b in group if b.block_hash is None and not b.is_null] for group in blocks.blocks]
            self._loading[request.request_id] = _Blocks(ids)

    def build_connector_meta(self, scheduler_output: Any) -> Any:
        loads, self._loading = self._loading, {}
        return _Loads(loads)

    def request_finished(self, request: Any, block_ids: Any) -> tuple[bool, None]:
        return False, None

    def request_finished_all_groups(self, request: Any, block_ids: Any) -> tuple[bool, None]:
        return False, None

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        pass

    def wait_for_layer_load(self, layer_name: str) -> None:
        pass

    def save_kv_layer(self, *args: Any, **kwargs: Any) -> None:
        pass

    def wait_for_save(self) -> None:
        pass
