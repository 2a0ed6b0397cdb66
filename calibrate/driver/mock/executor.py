"""An executor that computes nothing: tokens, drafts and transfers come from each request's script."""

from __future__ import annotations

import itertools
from collections import defaultdict
from concurrent.futures import Future
from typing import Any, ClassVar

from vllm.v1.executor.abstract import Executor
from vllm.v1.outputs import DraftTokenIds, KVConnectorOutput, ModelRunnerOutput

from calibrate.driver.mock.layers import layer_specs
from calibrate.driver.mock.offload import OffloadWorker

STOP_TOKEN = 7
_FIRST_OUTPUT_TOKEN = 2**40
_DRAFT_TOKEN = 5
_MEMORY_BYTES = 1 << 40


class MockExecutor(Executor):  # type: ignore[misc]
    """Samples for requests that have caught up; knows drafts, transfers and stop tokens from the requests' scripts.

    Sampled tokens occur nowhere else, so that only prompts share content.
    """

    supports_pp = True
    engine: ClassVar[dict[str, Any]] = {}

    @classmethod
    def supports_async_scheduling(cls) -> bool:
        return True

    def _init_executor(self) -> None:
        self.core: Any = None
        self.script: dict[str, dict[str, Any]] = {}
        self.entry: dict[str, Any] = {}
        self._tokens = itertools.count(_FIRST_OUTPUT_TOKEN)
        self._worker: dict[str, _Seen] = {}
        self._drafts: Any = None
        self._loads_due: dict[int, list[str]] = defaultdict(list)
        self._sends_due: dict[int, list[str]] = defaultdict(list)
        self._calls = 0
        self._sampled: Any = None
        self.offload: OffloadWorker | None = None

    def get_kv_cache_specs(self) -> list[dict[str, Any]]:
        return [layer_specs(self.engine, self.vllm_config.cache_config.block_size)]

    def get_supported_kv_cache_layouts(self) -> list[list[str]]:
        return [["NHD", "HND"]]

    def set_kv_cache_layout(self, *args: Any) -> None:
        pass

    def determine_available_memory(self) -> list[int]:
        return [_MEMORY_BYTES]

    def initialize_from_config(self, *args: Any) -> None:
        pass

    def compile_or_warm_up_model(self) -> None:
        pass

    def collective_rpc(self, method: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return [("generate",)] if method == "get_supported_tasks" else []

    def get_kv_connector_handshake_metadata(self) -> list[Any]:
        return []

    def init_kv_output_aggregator(self, connector: Any) -> None:
        pass

    def check_health(self) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def execute_dummy_batch(self) -> None:
        pass

    def execute_model(self, scheduler_output: Any, non_block: bool = False) -> Any:
        made = self._compute(scheduler_output)
        if scheduler_output.total_num_scheduled_tokens == 0:
            return _future(made) if non_block else made
        self._sampled = made
        return _future(None) if non_block else None

    def sample_tokens(self, grammar_output: Any, non_block: bool = False) -> Any:
        return _future(self._sampled) if non_block else self._sampled

    def take_draft_token_ids(self) -> Any:
        drafts, self._drafts = self._drafts, None
        return drafts

    def _compute(self, output: Any) -> Any:
        cached = output.scheduled_cached_reqs
        before = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
        fresh = set(before) | set(cached.resumed_req_ids)
        before.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        names = list(output.num_scheduled_tokens)
        sampled, drafted, verified = [], [], []
        for name, n in output.num_scheduled_tokens.items():
            is_fresh = name in fresh or name not in self._worker
            if is_fresh:
                request = self.core.scheduler.requests[name]
                self._worker[name] = _Seen(request.num_output_tokens, before[name])
            drafts = len(output.scheduled_spec_decode_tokens.get(name, ()))
            tokens = self._sample(name, n, drafts, is_fresh)
            sampled.append(tokens)
            drafted.append([_DRAFT_TOKEN] * self._drafts_made(name, output) if tokens else [])
            if tokens and drafts:
                verified.append([self.script[name]["id"], drafts, len(tokens) - 1])
        self._drafts = DraftTokenIds(names, drafted)
        if verified:
            self.entry["spec"] = verified
        made = ModelRunnerOutput(
            req_ids=names, req_id_to_index={name: k for k, name in enumerate(names)}, sampled_token_ids=sampled
        )
        made.kv_connector_output = self._transfers(output)
        return made

    def _sample(self, name: str, n: int, drafts: int, is_fresh: bool) -> list[int]:
        """Tokens of one request: one, and one for each draft that is right; none while its prompt is not done.

        Drafts that pad a freshly admitted request are never right.
        """
        script, seen = self.script[name], self._worker[name]
        seen.computed += n
        known = len(script["tokens"]) + seen.generated
        if seen.computed - drafts < known:
            return []
        ahead = "" if is_fresh else script.get("accept", "")[seen.generated : seen.generated + drafts]
        right = len(ahead) - len(ahead.lstrip("1"))
        seen.computed -= drafts - right
        tokens = []
        for _ in range(right + 1):
            seen.generated += 1
            stops = script.get("stop_after") == seen.generated
            tokens.append(STOP_TOKEN if stops else next(self._tokens))
        return tokens

    def _drafts_made(self, name: str, output: Any) -> int:
        most = int(output.num_spec_tokens_to_schedule)
        plan = self.script[name].get("drafts")
        return most if plan is None else min(most, int(plan[min(self._worker[name].generated, len(plan) - 1)]))

    def _transfers(self, output: Any) -> Any:
        """A transfer begins with the step that asked for it and is noticed so many steps later.

        vLLM goes through finished transfers in the order of a set of names, which changes from process to process;
        here it is the order of ids.
        """
        scheduler = self.core.scheduler
        if scheduler.connector is None:
            return None
        if self.offload is not None:
            return self._copies(self.offload, output.kv_connector_metadata)
        meta, step = output.kv_connector_metadata, self._calls
        self._calls += 1
        for name in getattr(meta, "reqs_to_recv", None) or ():
            self._loads_due[step + self.script[name]["load_steps"]].append(name)
        for name in getattr(meta, "reqs_to_send", None) or ():
            self._sends_due[step + self.script[name]["send_steps"]].append(name)
        received, sent = (
            sorted((self.script[name]["id"], name) for name in due.pop(step, ()) if name in scheduler.requests)
            for due in (self._loads_due, self._sends_due)
        )
        if received:
            self.entry["recv"] = [number for number, _ in received]
        if sent:
            self.entry["sent"] = [number for number, _ in sent]
        return KVConnectorOutput(
            finished_recving=dict.fromkeys(name for _, name in received) or None,
            finished_sending=dict.fromkeys(name for _, name in sent) or None,
        )

    def _copies(self, offload: OffloadWorker, meta: Any) -> Any:
        """Copies to and from the CPU's memory that are noticed with this step, loads in order of ids."""
        reported, received, stored = offload.compute(meta, self.script)
        loaded = sorted((self.script[name]["id"], name) for name in received)
        if loaded:
            self.entry["recv"] = [number for number, _ in loaded]
        if stored:
            self.entry["stored"] = sorted(self.script[name]["id"] for name in stored)
        return KVConnectorOutput(
            finished_recving=dict.fromkeys(name for _, name in loaded) or None, kv_connector_worker_meta=reported
        )


class _Seen:
    """What the worker has seen of a request; with plans in flight it is ahead of the scheduler."""

    def __init__(self, generated: int, computed: int) -> None:
        self.generated, self.computed = generated, computed


def _future(value: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(value)
    return done
