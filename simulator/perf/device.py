"""A GPU, a number format, the way a model is spread over GPUs, and the constants of the step-time model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture


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
    """

    name: str
    weight_bytes: float
    compute: str
    experts_only: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica spreads over `tp * pp` GPUs, and in which formats it holds weights and KV cache.

    Attributes
    ----------
    expert_parallel : experts are dealt out whole over the GPUs that share them, not cut
    dp : replicas that each compute attention for their own requests and share one set of experts
    redundant_experts : copies of busy experts in each layer, dealt out with the others
    """

    weights: Precision
    kv_value_bytes: float = 2.0
    tp: int = 1
    pp: int = 1
    expert_parallel: bool = False
    dp: int = 1
    redundant_experts: int = 0

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tp * self.pp

    @property
    def expert_gpus(self) -> int:
        """GPUs over which one layer's routed experts are spread."""
        return self.tp * self.dp

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
    cuda_graph_bytes, runtime_bytes : GPU memory for captured graphs, and for context, NCCL and allocator slack
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
    cuda_graph_bytes: float
    runtime_bytes: float


def with_copies(arch: Architecture, layout: Layout) -> Architecture:
    """The model with its redundant experts as experts of their own: what GPUs hold, and what tokens are spread over."""
    return replace(arch, experts=arch.experts + layout.redundant_experts) if layout.redundant_experts else arch


def split_problem(arch: Architecture, tp: int, pp: int, expert_parallel: bool = False) -> str | None:
    """Why the model cannot be split that way, or None."""
    if tp < 1 or pp < 1:
        return f"tp and pp must be at least 1 (tp={tp}, pp={pp})"
    if arch.heads % tp:
        return f"tp={tp} does not divide the {arch.heads} attention heads of {arch.name}"
    if not arch.is_mla and arch.kv_heads % tp and tp % arch.kv_heads:
        return f"tp={tp} neither divides the {arch.kv_heads} KV heads of {arch.name} nor is a multiple of them"
    if arch.dense_layers and arch.intermediate_size % tp:
        return f"tp={tp} does not divide the MLP width {arch.intermediate_size} of {arch.name}"
    if arch.experts and expert_parallel and arch.experts % tp:
        return f"tp={tp} does not divide the {arch.experts} experts of {arch.name}"
    if arch.experts and not expert_parallel and arch.moe_intermediate_size % tp:
        return f"tp={tp} does not divide the expert width {arch.moe_intermediate_size} of {arch.name}"
    if pp > arch.layers:
        return f"pp={pp} is more than the {arch.layers} layers of {arch.name}"
    return None


def check_layout(arch: Architecture, device: Device, layout: Layout) -> None:
    """Refuse a split the model does not allow and a format the GPU does not compute in.

    Raises
    ------
    InputError : naming the values that would work
    """
    if layout.redundant_experts and not layout.expert_parallel:
        raise InputError("redundant experts are dealt out whole: they need enable_expert_parallel")
    arch = with_copies(arch, layout)
    problem = split_problem(arch, layout.tp, layout.pp, layout.expert_parallel)
    if problem is not None:
        works = [
            tp for tp in range(1, device.gpus_per_node + 1) if not split_problem(arch, tp, 1, layout.expert_parallel)
        ]
        raise InputError(Problem(f"{problem}; tp that works: {', '.join(map(str, works))}", got=f"tp={layout.tp}"))
    if layout.expert_parallel and not arch.experts:
        raise InputError(f"expert_parallel needs a mixture of experts; {arch.name} is a dense model")
    if layout.dp > 1 and not arch.experts:
        raise InputError(
            Problem(
                f"data_parallel shares experts between replicas; {arch.name} is a dense model",
                got=f"data_parallel={layout.dp}",
            )
        )
    if arch.experts and arch.experts % layout.expert_gpus and layout.expert_parallel:
        lacking = -arch.experts % layout.expert_gpus
        raise InputError(
            Problem(
                f"tp x data_parallel does not divide the {arch.experts} experts of {arch.name}: with "
                f"eplb_config: {{num_redundant_experts: {layout.redundant_experts + lacking}}} it does",
                got=str(layout.expert_gpus),
            )
        )
    if layout.weights.compute not in device.peak_flops:
        raise InputError(
            Problem(
                f"{device.name} does not compute in {layout.weights.compute}; use {', '.join(device.precisions)}",
                got=layout.weights.name,
            )
        )


def link_bytes_per_s(device: Device, group: int) -> float:
    """Bandwidth per GPU and direction within a group: the fabric's, or the network's once it leaves the node."""
    return device.intra_node_bytes_per_s if group <= device.gpus_per_node else device.inter_node_bytes_per_s
