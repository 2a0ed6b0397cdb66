"""The worker side of vLLM's `OffloadingConnector` over copies that are done when the requests' scripts say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.config import build_offloading_config
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.worker import OffloadingConnectorWorker
from vllm.v1.kv_offload.base import OffloadingWorker, TransferResult
from vllm.v1.kv_offload.cpu.spec import CPUOffloadingSpec
from vllm.v1.kv_offload.factory import OffloadingSpecFactory

KV_TRANSFER_CONFIG = {"kv_connector": "OffloadingConnector", "kv_role": "kv_both"}


def extra_config(offload: Mapping[str, Any]) -> dict[str, Any]:
    """The connector's `kv_connector_extra_config`; `cpu_chunks` stands for the bytes that hold as many."""
    return {
        **{name: value for name, value in offload.items() if name != "cpu_chunks"},
        "cpu_bytes_to_use": offload["cpu_chunks"],
        "spec_name": "CountedChunks",
        "spec_module_path": __name__,
    }


def resolved(connector: Any) -> dict[str, Any]:
    """What the connector's scheduler side really has."""
    side = connector.connector_scheduler
    manager = side.manager
    return {
        "cpu_chunks": manager._num_chunks,
        "blocks_per_chunk": side.config.blocks_per_chunk,
        "eviction_policy": type(manager._policy).__name__.removesuffix("CachePolicy").lower(),
        "store_threshold": manager.store_threshold,
        "max_tracker_size": manager.max_tracker_size,
        "offload_prompt_only": bool(side.config.offload_prompt_only),
    }


class CountedChunks(CPUOffloadingSpec):  # type: ignore[misc]
    """Memory for a given number of chunks instead of bytes, since layers that are not built have none."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_chunks = int(self.extra_config["cpu_bytes_to_use"])


class _Copies(OffloadingWorker):  # type: ignore[misc]
    """Copies that are done so many calls of the model after the one that began them, or when somebody waits."""

    def __init__(self) -> None:
        self.call = -1
        self.takes: dict[int, int] = {}
        self._due: dict[int, int] = {}

    def submit_store(self, job_id: int, src_spec: Any, dst_spec: Any) -> bool:
        self._due[job_id] = self.call + self.takes.pop(job_id)
        return True

    submit_load = submit_store

    def wait(self, job_ids: set[int]) -> None:
        self._due.update((job_id, self.call) for job_id in job_ids if job_id in self._due)

    def get_finished(self) -> list[Any]:
        done = sorted(job_id for job_id, call in self._due.items() if call <= self.call)
        for job_id in done:
            del self._due[job_id]
        return [TransferResult(job_id=job_id, success=True) for job_id in done]


class OffloadWorker:
    """vLLM's worker side, called in the order in which its model runners do."""

    def __init__(self, vllm_config: Any, kv_cache_config: Any) -> None:
        spec = OffloadingSpecFactory.create_spec(build_offloading_config(vllm_config, kv_cache_config))
        self._side = OffloadingConnectorWorker(spec, vllm_config, kv_cache_config)
        self._copies = self._side.worker = _Copies()
        self._owner: dict[int, str] = {}
        self._loads: set[int] = set()

    def plan(self, meta: Any) -> dict[str, list[Any]]:
        """What a plan asks for, by request names: loads and stores with their blocks and chunks, jobs to wait for."""
        self._loads |= meta.load_jobs.keys()
        for job_id, job in (meta.load_jobs | meta.store_jobs).items():
            self._owner[job_id] = job.req_id
        return {
            "loads": [[job.req_id, len(job.dst_spec.block_ids)] for job in meta.load_jobs.values()],
            "stores": [[job.req_id, len(job.dst_spec.block_ids)] for job in meta.store_jobs.values()],
            "flushed": [self._owner[job_id] for job_id in meta.jobs_to_flush or ()],
        }

    def compute(self, meta: Any, script: Mapping[str, Mapping[str, Any]]) -> tuple[Any, set[str], list[str]]:
        """One call of the model: what is reported, requests whose KV has come, and owners of stores that are done."""
        self._copies.call += 1
        for kind, jobs in (("load_steps", meta.load_jobs), ("store_steps", meta.store_jobs)):
            self._copies.takes.update((job_id, script[job.req_id][kind]) for job_id, job in jobs.items())
        self._side.handle_preemptions(meta)
        self._side.start_kv_transfers(meta)
        self._side.prepare_store_kv(meta)
        _, received = self._side.get_finished(set())
        reported = self._side.build_connector_worker_meta()
        done = reported.completed_jobs if reported else ()
        return reported, received, [self._owner[job_id] for job_id in done if job_id not in self._loads]
