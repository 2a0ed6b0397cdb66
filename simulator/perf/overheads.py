"""What an engine adds to its GPU's time: work of the host per step and per request (docs/model/step-time.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.perf.kernels import ExpertsReached, Floats


@dataclass(frozen=True, slots=True)
class EngineOverheads:
    """Overheads of one engine version. Catalog data, fitted on published serving results.

    Attributes
    ----------
    version : engine version that they stand for
    exposed_s, exposed_seq_s : host time of a step, and of each sequence in it, that the GPU always waits for
    host_s, host_seq_s : host time that runs beside the GPU with asynchronous scheduling, and before it without
    async_scheduling : whether the host prepares the next step while the GPU computes
    launch_layer_s : host time that launches one layer's kernels; it runs beside the GPU and shows where it is longer
    eager_layer_s : launches of one layer in a step larger than any captured; such a step takes no less
    layer_s : gaps between the kernels of one layer
    collective_wait_s : time that one collective waits for its slowest GPU
    request_s : time that a request spends outside the engine's steps
    max_graph_tokens : largest captured batch; batches up to it are padded to a captured size
    captured_tokens : the largest captured batch where the engine's settings say it, whatever its sequences; else 0
    experts : by weight format the share of the measured expert kernels' speed that the version's reach
    products : the same of the experts' products alone, where they reach another share than reading the weights does
    tuned : the same of the products of `tuned_shapes`
    tuned_shapes : (experts, width) on one GPU that the version has a tuned configuration for, beside this GPU
    fused_reduce_bytes : by group the largest message whose all-reduce takes the norm after it along; 0 without
    """

    version: str
    exposed_s: float
    exposed_seq_s: float
    host_s: float
    host_seq_s: float
    launch_layer_s: float
    async_scheduling: bool
    layer_s: float
    collective_wait_s: float
    request_s: float
    max_graph_tokens: int
    eager_layer_s: float = 0.0
    captured_tokens: int = 0
    experts: tuple[tuple[str, float], ...] = ()
    products: tuple[tuple[str, float], ...] = ()
    tuned: tuple[tuple[str, float], ...] = ()
    tuned_shapes: frozenset[tuple[float, float]] = frozenset()
    fused_reduce_bytes: tuple[tuple[int, float], ...] = ()

    def experts_reach(self, weights: str, shape: tuple[float, float]) -> ExpertsReached:
        """Shares of the measured speed of experts in a weight format; 1 where nothing is known of it.

        Parameters
        ----------
        shape : experts on one GPU, and the width of an expert's slice
        """
        share = dict(self.experts).get(weights, 1.0)
        products = dict(self.products).get(weights, share)
        if shape in self.tuned_shapes:
            products = dict(self.tuned).get(weights, products)
        return ExpertsReached(share, products)

    def fused_up_to_bytes(self, group: int) -> float:
        """Largest message of a group of GPUs whose all-reduce is fused with a norm; 0 where none is."""
        return dict(self.fused_reduce_bytes).get(group, 0.0)


def captured_sizes(max_graph_tokens: int) -> Floats:
    """Batch sizes that vLLM captures as CUDA graphs: 1, 2, 4, each 8th up to 256, each 16th beyond.

    Source: `_set_cudagraph_sizes` of vLLM 0.24.
    """
    sizes = [1, 2, 4, *range(8, 257, 8), *range(272, max_graph_tokens + 1, 16)]
    return np.array([size for size in sizes if size <= max_graph_tokens], dtype=np.float64)


def padded_tokens(tokens: Floats, max_graph_tokens: int) -> Floats:
    """Tokens that the GPU computes for a step of `tokens`: the next captured size, or as they are beyond all."""
    sizes = captured_sizes(max_graph_tokens)
    place = np.searchsorted(sizes, np.ceil(tokens))
    padded = np.append(sizes, np.inf)[place]
    return np.where(np.isinf(padded), tokens, padded)


def step_host_s(overheads: EngineOverheads, layers: int, sequences: Floats, gpu_s: Floats, stages: int = 1) -> Floats:
    """Host time that shows in a step of `sequences` requests whose GPU time is at least `gpu_s`.

    .. math:: p (h_x + h_{xs} n) + \\begin{cases} \\max(0, p (h + h_s n) + l L - g(n)) & \\text{asynchronous} \\\\
        h + h_s n + \\max(0, l L - g(n)) & \\text{else} \\end{cases}

    Parameters
    ----------
    stages : p pipeline stages with as many steps in flight, which one host schedules while a step passes them all
    """
    host = overheads.host_s + overheads.host_seq_s * sequences
    launch = overheads.launch_layer_s * layers
    if overheads.async_scheduling:
        behind = np.maximum(0.0, stages * host + launch - gpu_s)
    else:
        behind = host + np.maximum(0.0, launch - gpu_s)
    return np.asarray(stages * (overheads.exposed_s + overheads.exposed_seq_s * sequences) + behind)
