"""One hardware profile per GPU: every kernel fitted on its tables, with provenance and residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from calibrate.kernels.attention import CONTEXT_COLUMNS, GENERATION_COLUMNS, fallback_factor, fit_attention
from calibrate.kernels.collectives import (
    CUSTOM_COLUMNS,
    NCCL_COLUMNS,
    STREAM_COLUMNS,
    fit_collective,
    fit_stream,
    in_bytes,
)
from calibrate.kernels.experts import COLUMNS as EXPERT_COLUMNS
from calibrate.kernels.experts import EXCHANGE_COLUMNS, exchange_messages, fit_experts
from calibrate.kernels.fit import Residuals, rounded
from calibrate.kernels.gemm import COLUMNS as GEMM_COLUMNS
from calibrate.kernels.gemm import Format, fit_gemm
from calibrate.kernels.latent import COLUMNS as LATENT_COLUMNS
from calibrate.kernels.latent import fit_latent
from calibrate.kernels.state import COLUMNS as STATE_COLUMNS
from calibrate.kernels.state import fit_state
from calibrate.kernels.tables import Tables
from simulator.catalog.gpus import gpu
from simulator.catalog.models import model
from simulator.catalog.precisions import kv_formats, precisions
from simulator.perf.device import Device
from simulator.perf.kernels import GemmKernel, Peaks
from simulator.results.files import write_text

GEMM_TABLES = {"bf16": "bfloat16", "fp8": "fp8", "fp4": "nvfp4"}
"""Weight format of the catalog → name in the tables. Block-scaled fp8 is left out: below a few thousand tokens its rows
show 80-190 us whatever the shape, the host's launch of it, which a captured graph does not pay."""
EXPERT_TABLES = {
    "bf16": ("bfloat16",),
    "fp8": ("fp8_block", "fp8"),
    "fp4": ("nvfp4",),
    "int4": ("int4_wo",),
    "mxfp4": ("w4a16_mxfp4",),
}
"""Weight format → names in the tables, first choice first: fp8 mixtures are published with block scales."""
KV_TABLES = {"bf16": "bfloat16", "fp8": "fp8"}
STATE_TABLES = {"gated_delta_net": ("linear_attention", "gdn"), "kda": ("kda", "kda")}
"""Kind of layer with a state → operation and table."""
HEAD_DIMS = (64, 128, 256)
GROUPS = (2, 4, 8)
ACTIVATION_BYTES = 2.0


class Profile:
    """A profile in the making: kernels and, beside them, the residuals of each fit."""

    def __init__(self, tables: Tables, name: str, entry: Mapping[str, Any]) -> None:
        self.tables = tables
        self.entry = entry
        self.device: Device = gpu(name).device
        self.kernels: dict[str, Any] = {"multiprocessors": entry["multiprocessors"]}
        self.residuals: dict[str, Any] = {}

    def peaks(self, precision: str) -> Peaks:
        """Published peaks of the GPU in one compute precision."""
        flops = self.device.peak_flops[precision]
        return Peaks(self.device.bandwidth_bytes_per_s, flops, int(self.entry["multiprocessors"]))

    def keep(self, group: str, name: str, kernel: object, errors: Residuals | Mapping[str, Residuals]) -> None:
        """Store a fitted record and its errors."""
        fields = {key: rounded(value) for key, value in asdict(kernel).items()}  # type: ignore[call-overload]
        self.kernels.setdefault(group, {})[name] = fields
        many = {"": errors} if isinstance(errors, Residuals) else errors
        for part, each in many.items():
            label = f"{group} {name} {part}".strip()
            self.residuals[label] = each.record()


def build_profile(tables: Tables, name: str, entry: Mapping[str, Any]) -> Profile:
    """Fit all kernels of the GPU called `name`."""
    profile = Profile(tables, name, entry)
    _gemm(profile)
    _attention(profile)
    _latent(profile)
    _experts(profile)
    _state(profile)
    _stream(profile)
    _all_reduce(profile)
    _all_to_all(profile)
    return profile


def _gemm(profile: Profile) -> None:
    entry, tables = profile.entry, profile.tables
    wanted = {name: ("vllm", entry["vllm"], dtype) for name, dtype in GEMM_TABLES.items()}
    for name, other in entry.get("also", {}).items():
        wanted[name] = (other["framework"], other["version"], other["dtype"])
    for name, (framework, version, dtype) in wanted.items():
        table = tables.read(entry["system"], "gemm", framework, version, "gemm", GEMM_COLUMNS)
        rows = table[table["gemm_dtype"] == dtype]
        if rows.empty:
            continue
        kernel, errors = fit_gemm(rows, _format(profile, name))
        profile.keep("gemm", name, kernel, errors)


def _format(profile: Profile, name: str) -> Format:
    form = precisions()[name]
    plain = form.compute == "bf16"
    activation = ACTIVATION_BYTES if plain else form.weight_bytes.value
    return Format(form.weight_bytes.value, activation, profile.peaks(form.compute))


def _attention(profile: Profile) -> None:
    entry = profile.entry
    place = (entry["system"], "attention", "vllm", entry["vllm"])
    context = profile.tables.read(*place, "context_attention", CONTEXT_COLUMNS)
    generation = profile.tables.read(*place, "generation_attention", GENERATION_COLUMNS)
    profile.kernels["attention"] = []
    for kv_name, dtype in KV_TABLES.items():
        kv_bytes = kv_formats()[kv_name].value
        for head_dim in HEAD_DIMS:
            found = fit_attention(context, generation, head_dim, dtype, kv_bytes, profile.peaks("bf16"))
            if found is not None:
                _keep_attention(profile, "attention", head_dim, kv_name, *found)
    factor = fallback_factor(context) if entry.get("sinks") == "fallback" else None
    if factor is not None:
        profile.kernels["sink_factor"] = rounded(factor)


def _keep_attention(
    profile: Profile, group: str, head_dim: int, kv_name: str, kernel: object, errors: Mapping[str, Residuals]
) -> None:
    fields = {key: rounded(value) for key, value in asdict(kernel).items()}  # type: ignore[call-overload]
    entry = {"head_dim": head_dim, "kv_value_bytes": kv_formats()[kv_name].value, "kernel": fields}
    profile.kernels[group].append(entry)
    for part, each in errors.items():
        profile.residuals[f"{group} {part} head {head_dim} kv {kv_name}"] = each.record()


def _latent(profile: Profile) -> None:
    entry, tables = profile.entry, profile.tables
    place = (entry["system"], "mla", "vllm", entry["vllm"])
    if not tables.has(*place, "mla_generation_module"):
        return
    context = tables.read(*place, "mla_context_module", LATENT_COLUMNS)
    generation = tables.read(*place, "mla_generation_module", LATENT_COLUMNS)
    gemm = GemmKernel(**profile.kernels["gemm"]["bf16"])
    profile.kernels["latent"] = []
    rank = model("deepseek-v3").architecture.kv_lora_rank
    for kv_name, dtype in KV_TABLES.items():
        found = fit_latent(context, generation, dtype, kv_formats()[kv_name].value, gemm, profile.peaks("bf16"))
        if found is not None:
            _keep_attention(profile, "latent", rank, kv_name, *found)


def _experts(profile: Profile) -> None:
    entry = profile.entry
    table = profile.tables.read(entry["system"], "moe", "vllm", entry["vllm"], "moe", EXPERT_COLUMNS)
    for name, choices in EXPERT_TABLES.items():
        rows = next((rows for choice in choices if len(rows := table[table["moe_dtype"] == choice])), None)
        if rows is not None and precisions()[name].compute in profile.device.peak_flops:
            profile.keep("experts", name, *fit_experts(rows, _format(profile, name)))


def _state(profile: Profile) -> None:
    """Records of the layers with a state; their convolution is one kernel, read from the first table."""
    entry, tables = profile.entry, profile.tables
    convolution = None
    for kind, (operation, name) in STATE_TABLES.items():
        place = (entry["system"], operation, "vllm", entry.get("state", {}).get(kind, entry["vllm"]), name)
        if not tables.has(*place):
            continue
        table = tables.read(*place, STATE_COLUMNS)
        convolution = table if convolution is None else convolution
        profile.keep("state", kind, *fit_state(table, convolution, profile.peaks("bf16")))


def _stream(profile: Profile) -> None:
    entry = profile.entry
    place = (entry["system"], "quantize", "vllm", entry["vllm"], "scale_matrix")
    if not profile.tables.has(*place):
        return
    table = profile.tables.read(*place, STREAM_COLUMNS)
    kernel, errors = fit_stream(table, profile.peaks("bf16"))
    profile.kernels["stream"] = {key: rounded(value) for key, value in asdict(kernel).items()}
    profile.residuals["stream"] = errors.record()


def _all_reduce(profile: Profile) -> None:
    """The quickest of vLLM's own all-reduce (in a CUDA graph) and NCCL's at every size."""
    entry, tables = profile.entry, profile.tables
    nccl = tables.read(entry["system"], "comm", "nccl", entry["nccl"], "nccl", NCCL_COLUMNS)
    rows = nccl[(nccl["op_name"] == "all_reduce") & (nccl["nccl_dtype"] == "half")]
    rows = in_bytes(rows)
    if tables.has(entry["system"], "comm", "vllm", entry["vllm"], "custom_allreduce"):
        own = tables.read(entry["system"], "comm", "vllm", entry["vllm"], "custom_allreduce", CUSTOM_COLUMNS)
        rows = _joined(in_bytes(own[own["backend"] == "vllm_graph"]), rows)
    for group in GROUPS:
        points = rows[rows["num_gpus"] == group]
        if len(points):
            kernel, errors = fit_collective(points, profile.device.intra_node_bytes_per_s)
            profile.keep("all_reduce", str(group), kernel, errors)


def _all_to_all(profile: Profile) -> None:
    profile.kernels["all_to_all"] = {}
    entry, tables = profile.entry, profile.tables
    place = (entry["system"], "comm", "vllm", entry["vllm"], "moe_a2a")
    if not tables.has(*place):
        return
    table = tables.read(*place, EXCHANGE_COLUMNS)
    for group in sorted(table["ep_size"].unique()):
        messages = exchange_messages(table, int(group), ACTIVATION_BYTES)
        kernel, errors = fit_collective(messages, profile.device.intra_node_bytes_per_s)
        profile.keep("all_to_all", str(group), kernel, errors)


def _joined(left: Any, right: Any) -> Any:
    import pandas as pd

    return pd.concat([left, right], ignore_index=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` atomically, keys in the order given."""
    import json

    write_text(path, json.dumps(content, indent=1, default=_plain) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written")
