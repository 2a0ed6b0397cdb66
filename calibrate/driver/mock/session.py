"""Feeds an engine core with arrivals and events, iteration by iteration, and writes down what its scheduler decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from vllm.lora.request import LoRARequest
from vllm.multimodal.inputs import MultiModalFeatureSpec, PlaceholderRange
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.v1.engine.core import EngineCore
from vllm.v1.request import Request

from calibrate.driver.mock.build import build
from calibrate.driver.mock.executor import STOP_TOKEN
from calibrate.driver.mock.facts import counts, is_proven, modes_on, resolved
from calibrate.driver.tokens import distinct_tokens

_REMOTE = {
    "remote_block_ids": [[1]],
    "remote_engine_id": "p",
    "remote_request_id": "r",
    "remote_host": "127.0.0.1",
    "remote_port": 1,
    "tp_size": 1,
}
MOST_IDLE = 2_000
"""Iterations without an entry after which an engine counts as standing still."""
MOST_ITERATIONS = 50_000


def record_core(
    engine: dict[str, Any], requests: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]], model: str
) -> dict[str, Any]:
    """Record one engine without data parallelism; the content of a recording without its format and requests."""
    session = MockSession(engine, requests, events, model)
    session.run()
    return {"recorded_with": "EngineCore, executor that computes nothing", **session.recording()}


class MockSession:
    """Before iteration k: events, then arrivals in order of ids. While nothing is in the engine, k jumps."""

    def __init__(
        self,
        engine: dict[str, Any],
        requests: Sequence[dict[str, Any]],
        events: Sequence[dict[str, Any]],
        model: str,
        core_class: type[Any] = EngineCore,
    ) -> None:
        self.core, self._forced = build(engine, model, core_class)
        self.scheduler = self.core.scheduler
        self.iteration = 0
        self.steps: list[dict[str, Any]] = []
        self._engine, self._requests, self._happened = engine, requests, list(events)
        self._coming = sorted(requests, key=lambda row: (row["arrival_step"], row["id"]), reverse=True)
        self._events: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for event in self._happened:
            self._events[event["step"]].append(event)
        self._numbers: dict[str, int] = {}
        self._preempted: list[int] = []
        self._updates: list[tuple[int, dict[str, Any], list[int]]] = []
        self._in_flight: dict[int, dict[str, Any]] = {}
        self._during: list[dict[str, Any]] = []
        self._grammars: list[tuple[int, Any]] = []
        self._listen()

    def _listen(self) -> None:
        """Write down plans, preemptions and outputs; decide nothing."""
        scheduler = self.scheduler
        schedule, update = scheduler.schedule, scheduler.update_from_output
        preempt, finish = scheduler._preempt_request, scheduler.finish_requests

        def heard_preempt(request: Any, *args: Any, **kwargs: Any) -> Any:
            self._preempted.append(self._numbers[request.request_id])
            return preempt(request, *args, **kwargs)

        def heard_schedule(*args: Any, **kwargs: Any) -> Any:
            self._preempted.clear()
            output = schedule(*args, **kwargs)
            entry = self._entry(output, any(args) or kwargs.get("throttle_prefills"))
            self.core.model_executor.entry = entry
            self._in_flight[id(output)] = entry
            self.steps.append(entry)
            for event in self._during:
                self.core.aborts_queue.put_nowait(self._names(event["abort"]))
            self._during = []
            return output

        def heard_update(output: Any, made: Any) -> Any:
            found = update(output, made)
            ended = [one for outputs in found.values() for one in outputs.outputs if one.finish_reason is not None]
            numbers = [self._numbers[one.request_id] for one in ended]
            self._updates.append((self.iteration, self._in_flight.pop(id(output)), numbers))
            return found

        def one_by_one(names: Any, status: Any) -> list[Any]:
            """vLLM frees several at once in the order of a set of names, which differs between processes."""
            if names is None or isinstance(names, str):
                return finish(names, status)  # type: ignore[no-any-return]
            return [gone for name in names for gone in finish(name, status)]

        def in_order(connector: Any, output: Any) -> Any:
            """Connectors go through requests that have ended in the order of that set, too."""
            ended = output.finished_req_ids
            output.finished_req_ids = dict.fromkeys(sorted(ended, key=self._numbers.__getitem__))
            meta = connector.build_connector_meta(output)
            output.finished_req_ids = ended
            return meta

        scheduler._preempt_request, scheduler.schedule = heard_preempt, heard_schedule
        scheduler._build_kv_connector_meta = in_order
        scheduler.update_from_output, scheduler.finish_requests = heard_update, one_by_one

    def _entry(self, output: Any, throttled: Any) -> dict[str, Any]:
        requests, meta = self.scheduler.requests, output.kv_connector_metadata
        entry: dict[str, Any] = {
            "step": self.iteration,
            "scheduled": [
                [self._numbers[name], n, requests[name].num_computed_tokens - n]
                for name, n in output.num_scheduled_tokens.items()
            ],
            "preempted": list(self._preempted),
            "free_blocks": self.scheduler.kv_cache_manager.block_pool.get_num_free_blocks(),
        }
        if throttled:
            entry["throttled"] = True
        if output.scheduled_encoder_inputs:
            entry["encoder"] = [[self._numbers[n], list(v)] for n, v in output.scheduled_encoder_inputs.items()]
        if offload := self.core.model_executor.offload:
            asked = offload.plan(meta)
            for name in ("loads", "stores"):
                if asked[name]:
                    entry[name] = [[self._numbers[owner], many] for owner, many in asked[name]]
            if asked["flushed"]:
                entry["flushed"] = sorted(self._numbers[owner] for owner in asked["flushed"])
        elif loads := getattr(meta, "reqs_to_recv", None):
            entry["loads"] = [[self._numbers[n], sum(map(len, m.local_block_ids))] for n, m in loads.items()]
        return entry

    def _names(self, numbers: Iterable[int]) -> list[str]:
        by_number = {number: name for name, number in self._numbers.items()}
        return [by_number[number] for number in numbers if number in by_number]

    @property
    def next_arrival(self) -> int | None:
        return self._coming[-1]["arrival_step"] if self._coming else None

    @property
    def last_entry(self) -> int:
        """Iteration of the last plan with tokens; 0 before."""
        return next((entry["step"] for entry in reversed(self.steps) if entry["scheduled"]), 0)

    @property
    def is_busy(self) -> bool:
        scheduler = self.scheduler
        if self.core.model_executor.offload is not None:
            return bool(scheduler.has_requests() or self.core.batch_queue)
        transfers = scheduler.connector is not None and bool(scheduler.requests)
        return bool(scheduler.has_unfinished_requests() or self.core.batch_queue or transfers)

    def before(self) -> None:
        """What happens from outside before the present iteration."""
        for event in self._events.pop(self.iteration, ()):
            if "reset_prefix_cache" in event:
                self._reset(event)
            elif event["when"] == "during":
                self._during.append(event)
            else:
                self.core.abort_requests(self._names(event["abort"]))
        due = []
        while self._coming and self._coming[-1]["arrival_step"] <= self.iteration:
            due.append(self._coming.pop())
        for row in sorted(due, key=lambda row: row["id"]):
            self._add(row)
        for step, request in self._grammars:
            if step <= self.iteration and request.structured_output_request.grammar is None:
                request.structured_output_request.grammar = object()

    def _reset(self, event: dict[str, Any]) -> None:
        self._preempted.clear()
        running = event["reset_prefix_cache"] == "running"
        try:
            event["worked"] = bool(
                self.scheduler.reset_prefix_cache(
                    reset_running_requests=running, reset_connector=bool(event.get("reset_connector"))
                )
            )
        except RuntimeError:  # KV is on its way to requests that wait; those that ran are preempted nevertheless
            event["worked"] = False
        if self._preempted:
            event["preempted"] = list(self._preempted)

    def _add(self, row: dict[str, Any]) -> None:
        name = row.get("name", str(row["id"]))
        tokens = distinct_tokens(row["prompt"])
        params: dict[str, Any] = {"max_tokens": row["osl"], "ignore_eos": True, "detokenize": False}
        if "stop_after" in row:
            params["stop_token_ids"] = [STOP_TOKEN]
        if "grammar_ready_step" in row:
            params["structured_outputs"] = StructuredOutputsParams(regex="a*")
        if transfer := row.get("transfer"):
            params["extra_args"] = {
                "kv_transfer_params": (_REMOTE if "do_remote_prefill" in transfer else {}) | transfer
            }
        pictures = [
            MultiModalFeatureSpec(None, "image", picture, PlaceholderRange(offset=offset, length=length))
            for offset, length, picture in row.get("images", ())
        ]
        lora = row.get("lora")
        request = Request(
            request_id=name,
            prompt_token_ids=tokens,
            sampling_params=SamplingParams(**params),
            pooling_params=None,
            arrival_time=float(row.get("arrival_order", row["id"])),
            priority=row["priority"],
            block_hasher=self.core.request_block_hasher,
            cache_salt=row.get("salt"),
            mm_features=pictures or None,
            lora_request=LoRARequest(f"lora{lora}", lora, f"/lora/{lora}") if lora else None,
        )
        self._numbers[name] = row["id"]
        self.core.model_executor.script[name] = {**row, "tokens": tokens}
        if "grammar_ready_step" in row:
            self._grammars.append((row["grammar_ready_step"], request))
        self.core.add_request(request)

    def iterate(self) -> None:
        _, executed = self.core.step_fn()
        self.core.post_step(executed)

    def run(self) -> None:
        """All requests to their end.

        Raises
        ------
        TimeoutError : the engine does not go on
        """
        idle = 0
        while self._coming or self.is_busy:
            if not self.is_busy:
                self.iteration = max(self.iteration, self.next_arrival or 0)
            self.before()
            known = len(self.steps)
            self.iterate()
            self.iteration += 1
            idle = 0 if any(map(_is_kept, self.steps[known:])) else idle + 1
            if idle > MOST_IDLE or self.iteration > MOST_ITERATIONS:
                raise TimeoutError(f"the engine stands still at iteration {self.iteration}: {self.left()}")

    def left(self) -> str:
        """The first requests that have not ended, with their states."""
        requests = list(self.scheduler.requests.values())[:5]
        return ", ".join(f"{request.request_id} {request.status.name.lower()}" for request in requests)

    def recording(self) -> dict[str, Any]:
        for entry in self._in_flight.values():  # data-parallel ranks may stop before their last output is applied
            entry.pop("spec", None)
        kept = [entry for entry in self.steps if _is_kept(entry)]
        position = {id(entry): k for k, entry in enumerate(kept)}
        updates = []
        for iteration, entry, finished in self._updates:
            if id(entry) in position:
                updates.append([iteration, position[id(entry)]])
                if finished:
                    entry["finished"] = finished
        config = resolved(self.core, self._engine)
        made: dict[str, Any] = {
            "config": config,
            "steps": kept,
            "facts": {
                "modes": modes_on(config, self._requests, self._happened),
                "counts": counts(kept),
                "set_by_recorder": self._forced,
                "proven_version": is_proven(),
            },
        }
        if self.core.batch_queue is not None:
            made["updates"] = updates
        if self._happened:
            made["events"] = self._happened
        return made


def _is_kept(entry: dict[str, Any]) -> bool:
    return any(entry.get(key) for key in ("scheduled", "preempted", "loads", "recv", "sent", "stores", "stored"))
