"""A GPU, a number format, the way a model is spread over GPUs, and the constants of the step-time model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture

DEGREES = range(1, 17)
"""Degrees of tensor parallelism that messages propose."""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU in its node.

    Attributes
    ----------
    memory_bytes, bandwidth_bytes_per_s : size and peak bandwidth of its memory
    peak_flops : dense peak by compute precision (`bf16`, `fp8`, `int8`, `fp4`); a precision it lacks is not a key
    intra_node_bytes_per_s, inter_node_bytes_per_s : peak per GPU and direction
    gpus_per_node : GPUs that the intra-node fabric joins
    precisions : weight formats that run on it, for messages
    """

    name: str
    memory_bytes: float
    bandwidth_bytes_per_s: float
    peak_flops: Mapping[str, float]
    intra_node_bytes_per_s: float
    inter_node_bytes_per_s: float
    gpus_per_node: int
    precisions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Precision:
    """Format of the weights and of the matrix products that use them.

    Attributes
    ----------
    weight_bytes : bytes per quantised weight, scales included; embeddings and LM head stay at 2 bytes
    compute : key into `Device.peak_flops`; weight-only formats compute in bf16
    experts_only : only the experts are quantised (MXFP4 of gpt-oss), the rest stays at 2 bytes
    experts_as : format whose kernel computes the experts, as Marlin's does any weight-only one; empty for their own
    alias : by which it was asked for, as awq for int4; empty where that is its name
    """

    name: str
    weight_bytes: float
    compute: str
    experts_only: bool = False
    experts_as: str = ""
    alias: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """What it is called where a person reads it."""
        return self.alias or self.name

    @property
    def experts_kernel(self) -> str:
        """Format of the record of the routed experts' kernel."""
        return self.experts_as or self.name


@dataclass(frozen=True, slots=True)
class Split:
    """How one replica spreads over `tp * pp` GPUs.

    Attributes
    ----------
    dp : replicas that each compute attention for their own requests and share one set of experts
    expert_parallel : experts are dealt out whole over the GPUs that share them, not cut
    redundant_experts : copies of busy experts in each layer, dealt out with the others
    all_to_all : ranks send each token to the GPUs of its experts, instead of gathering the tokens of all ranks
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    expert_parallel: bool = False
    redundant_experts: int = 0
    all_to_all: bool = False

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tp * self.pp

    @property
    def expert_gpus(self) -> int:
        """GPUs over which one layer's routed experts are spread: vLLM takes those of data-parallel ranks too."""
        return self.tp * self.dp


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica spreads, and in which formats it holds weights and KV cache."""

    weights: Precision
    kv_value_bytes: float = 2.0
    split: Split = Split()

    @property
    def tp(self) -> int:
        return self.split.tp

    @property
    def pp(self) -> int:
        return self.split.pp

    @property
    def dp(self) -> int:
        return self.split.dp

    @property
    def expert_parallel(self) -> bool:
        return self.split.expert_parallel

    @property
    def redundant_experts(self) -> int:
        return self.split.redundant_experts

    @property
    def all_to_all(self) -> bool:
        return self.split.all_to_all

    @property
    def gpus(self) -> int:
        return self.split.gpus

    @property
    def expert_gpus(self) -> int:
        return self.split.expert_gpus

    def is_wide(self, device: Device) -> bool:
        """Whether experts are dealt out over several nodes, where nothing was measured."""
        return self.expert_parallel and self.expert_gpus > device.gpus_per_node


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Token budget and sequences of one step (vLLM `max_num_batched_tokens`, `max_num_seqs`)."""

    max_num_batched_tokens: int
    max_num_seqs: int


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What published peaks do not say: achieved shares of the peaks, latencies, overheads. Catalog data, not code.

    Attributes
    ----------
    gemm_efficiency : share of peak reached by large matrix products, by compute precision
    bandwidth_efficiency : share of peak reached by weight reads
    attention_compute_efficiency, attention_bandwidth_efficiency : the same for prefill and decode attention
    link_efficiency : share of the link's peak bandwidth that collectives reach
    smooth_max_exponent : p of the p-norm that joins memory time and compute time; larger is sharper
    host_step_s, host_seq_s : engine overhead of a step, and of each sequence in it
    layer_overhead_s : launches and tails of one layer's kernels
    activation_passes : times that a layer's small kernels (norms, residual, rotary) read or write a hidden state
    collective_latency_s : start-up of one collective per doubling of the group
    """

    gemm_efficiency: Mapping[str, float]
    bandwidth_efficiency: float
    attention_compute_efficiency: float
    attention_bandwidth_efficiency: float
    link_efficiency: float
    smooth_max_exponent: float
    host_step_s: float
    host_seq_s: float
    layer_overhead_s: float
    activation_passes: float
    collective_latency_s: float


def with_copies(arch: Architecture, layout: Layout) -> Architecture:
    """The model with its redundant experts as experts of their own: what GPUs hold, and what tokens are spread over."""
    return replace(arch, experts=arch.experts + layout.redundant_experts) if layout.redundant_experts else arch


class Divided(Protocol):
    """What of a model a split has to divide; widths of 0 are of what it does not have."""

    @property
    def name(self) -> str: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def is_mla(self) -> bool: ...
    @property
    def experts(self) -> int: ...
    @property
    def mlp_width(self) -> int: ...
    @property
    def expert_width(self) -> int: ...


def split_problem(model: Divided, split: Split) -> str | None:
    """Why the model cannot be split that way, or None."""
    tp, pp = split.tp, split.pp
    if min(tp, pp, split.dp) < 1:
        return f"tp, pp and data_parallel must be at least 1 (tp={tp}, pp={pp}, data_parallel={split.dp})"
    if model.heads % tp:
        return f"tp={tp} does not divide the {model.heads} attention heads of {model.name}"
    if model.kv_heads and not model.is_mla and model.kv_heads % tp and tp % model.kv_heads:
        return f"tp={tp} neither divides the {model.kv_heads} KV heads of {model.name} nor is a multiple of them"
    if model.mlp_width % tp:
        return f"tp={tp} does not divide the MLP width {model.mlp_width} of {model.name}"
    experts = model.experts + split.redundant_experts
    if split.expert_parallel and experts % tp:
        return f"tp={tp} does not divide the {experts} experts of {model.name}"
    if not split.expert_parallel and model.expert_width % tp:
        return f"tp={tp} does not divide the expert width {model.expert_width} of {model.name}"
    if pp > model.layers:
        return f"pp={pp} is more than the {model.layers} layers of {model.name}"
    return None


def check_split(model: Divided, split: Split) -> None:
    """Refuse a split that vLLM refuses.

    Raises
    ------
    InputError : naming the degrees that work
    """
    if split.redundant_experts and not split.expert_parallel:
        raise InputError("redundant experts are dealt out whole: they need enable_expert_parallel")
    problem = split_problem(model, split)
    if problem is not None:
        works = [tp for tp in DEGREES if not split_problem(model, replace(split, tp=tp, pp=1, dp=1))]
        raise InputError(Problem(f"{problem}; tp that works: {', '.join(map(str, works))}", got=f"tp={split.tp}"))
    if split.expert_parallel and not model.experts:
        raise InputError(f"expert_parallel needs a mixture of experts; {model.name} is a dense model")
    if split.dp > 1 and not model.experts:
        raise InputError(
            Problem(
                f"data_parallel shares experts between replicas; {model.name} is a dense model",
                got=f"data_parallel={split.dp}",
            )
        )
    experts = model.experts + split.redundant_experts
    if split.expert_parallel and experts % split.expert_gpus:
        redundant = split.redundant_experts + -experts % split.expert_gpus
        raise InputError(
            Problem(
                f"tp x data_parallel does not divide the {experts} experts of {model.name}: with "
                f"eplb_config: {{num_redundant_experts: {redundant}}} it does",
                got=str(split.expert_gpus),
            )
        )


def check_layout(arch: Architecture, device: Device, layout: Layout) -> None:
    """Refuse a split the model does not allow and a format the GPU does not compute in.

    Raises
    ------
    InputError : naming the values that would work
    """
    check_split(arch, layout.split)
    if words := not_computed(device, layout.weights):
        raise InputError(Problem(words, got=layout.weights.words))


def not_computed(device: Device, weights: Precision) -> str:
    """That the GPU does not compute in a format of weights, with those that it does; empty where it does."""
    if weights.compute in device.peak_flops:
        return ""
    return f"{device.name} does not compute in {_computed(weights)}; use {', '.join(device.precisions)}"


def _computed(weights: Precision) -> str:
    """The precision of the products, as it was asked for where that is a name of the same."""
    return weights.words if weights.name == weights.compute else weights.compute


def link_bytes_per_s(device: Device, group: int) -> float:
    """Bandwidth per GPU and direction within a group: the fabric's, or the network's once it leaves the node."""
    return device.intra_node_bytes_per_s if group <= device.gpus_per_node else device.inter_node_bytes_per_s
