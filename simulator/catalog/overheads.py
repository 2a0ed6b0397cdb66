"""Overheads of the engine by its version, and the share of its kernels' speed that a GPU sustains in serving."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TypeVar

from pydantic import Field

from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, Problem
from simulator.perf.hardware import Hardware
from simulator.perf.overheads import EngineOverheads
from simulator.units import BYTES_PER_MIB

FILE = "engine_overheads.yaml"
FUSION = "all_reduce_fusion.yaml"
EXPERT_KERNELS = "expert_kernels.yaml"
HOST_FIGURES = ("exposed_s", "exposed_seq_s", "launch_layer_s", "host_s", "host_seq_s")
FIGURES = (*HOST_FIGURES, "layer_s", "collective_wait_s", "request_s")
CHAT = "chat"
Row = TypeVar("Row", "OverheadRow", "ExpertsRow")

_VERSION = re.compile(r"v?(\d{1,9}(?:\.\d{1,9})*)(?:[-.]?(?:a|b|c|rc|dev|pre|post)[-.]?\d*)*(?:[-+].*)?", re.IGNORECASE)
"""A release, with its stage and what a build adds (`0.13.0+faa43dbf.nv26.01`, `v0.20.0-cu130-ubuntu2404`)."""


class OverheadRow(Entry):
    """Overheads from one engine version on."""

    since: str
    async_scheduling: bool
    exposed_s: Quantity
    exposed_seq_s: Quantity
    host_s: Quantity
    host_seq_s: Quantity
    launch_layer_s: Quantity
    layer_s: Quantity
    collective_wait_s: Quantity
    request_s: Quantity
    max_graph_tokens: Quantity


class HostRow(Entry):
    """How much longer the host's work takes beside these GPUs."""

    gpus: tuple[str, ...]
    factor: Quantity


class FamilyRow(Entry):
    """Share of the matrix products' compute speed that GPUs of a family keep up in serving: power and clocks under
    lasting load, what kernels lose beside each other, and for transferred kernels how well they fit. And the host's
    launches of one layer without a graph, where results show them."""

    name: str
    gpus: tuple[str, ...]
    compute: Quantity
    eager_layer_s: Quantity | None = None


class LinkRow(Entry):
    """Share of the measured all-reduce bandwidths that serving machines reach between these GPUs. The tables of PCIe
    come from a machine with peer access; these GPUs have none by their driver, or were measured in one without."""

    name: str
    gpus: tuple[str, ...]
    share: Quantity


class ExpertsRow(Entry):
    """Share of the measured expert kernels' speed that engines from one version on reach, by weight format: the tables
    are of a newer one, whose kernels and tuned shapes are quicker.

    Attributes
    ----------
    products : the share of the products' speed, where it is not that of reading the weights
    tuned : the same of shapes that the version has a tuned configuration for
    """

    since: str
    shares: dict[str, Quantity]
    products: dict[str, Quantity] = Field(default_factory=dict)
    tuned: dict[str, Quantity] = Field(default_factory=dict)


class FusionRow(Entry):
    """All-reduces that take the norm after them along, between these GPUs from one version on: the largest message by
    size of the group."""

    gpus: tuple[str, ...]
    since: str
    max_mib: dict[int, float]
    source: str
    url: str
    date: str


class KernelRow(Entry):
    """Routed experts in `weights` that run by the kernel of another format on these GPUs, before a version."""

    gpus: tuple[str, ...]
    weights: str
    before: str
    kernel: str
    source: str
    url: str
    date: str


class TunedRow(Entry):
    """Shapes of experts, (experts, width) on one of these GPUs, that engines have a tuned configuration for."""

    gpus: tuple[str, ...]
    shapes: frozenset[tuple[float, float]]


class FrontEnd(Entry):
    """The API process as a queue: time for each request, before the engine hears of it.

    Attributes
    ----------
    template_s : to put a chat into the model's template
    own_s : the same where vLLM renders the model's format by itself
    own_models : names of these models, as shell patterns
    """

    template_s: Quantity
    own_s: Quantity
    own_models: tuple[str, ...]


@lru_cache
def expert_rows() -> tuple[ExpertsRow, ...]:
    """Shares of the experts' speed, oldest version first."""
    rows = (ExpertsRow(**fields) for fields in read_yaml(FILE)["experts"])
    return tuple(sorted(rows, key=lambda row: version_key(row.since)))


@lru_cache
def fusion_rows() -> tuple[FusionRow, ...]:
    """GPUs whose all-reduces are fused with norms."""
    return tuple(FusionRow(**fields) for fields in read_yaml(FUSION)["rows"])


@lru_cache
def kernel_rows() -> tuple[KernelRow, ...]:
    """Kernels of experts that are not those of the tables."""
    return tuple(KernelRow(**fields) for fields in read_yaml(EXPERT_KERNELS)["rows"])


@lru_cache
def tuned_shapes(gpu_name: str | None) -> frozenset[tuple[float, float]]:
    """Shapes of 16-bit experts that vLLM up to 0.13 has a tuned configuration for, beside a GPU."""
    rows = (TunedRow(**fields) for fields in read_yaml(EXPERT_KERNELS)["tuned"])
    return frozenset().union(*(row.shapes for row in rows if gpu_name in row.gpus))


def experts_as(weights: str, gpu_name: str, version: str | None) -> str:
    """Format whose kernel computes the routed experts by vLLM's own choice; empty for their own."""
    if version is None:
        return ""
    for row in kernel_rows():
        if weights == row.weights and gpu_name in row.gpus and version_key(version) < version_key(row.before):
            return row.kernel
    return ""


def fused_reduce_bytes(
    version: str | None, gpu_name: str | None, asked: bool | None = None
) -> tuple[tuple[int, float], ...]:
    """Largest fused message by group size; empty where the GPU has none, or is not `asked` to: by default from a
    version on."""
    for row in fusion_rows():
        default = version is None or version_key(version) >= version_key(row.since)
        if gpu_name in row.gpus and (default if asked is None else asked):
            return tuple((group, mib * BYTES_PER_MIB) for group, mib in row.max_mib.items())
    return ()


def eager_layer_s(gpu_name: str | None, trial: Mapping[str, float]) -> float:
    """Host's launches of one layer without a graph, beside a GPU; 0 where no result shows them."""
    family = next((row for row in family_rows() if gpu_name in row.gpus), None)
    if family is None or family.eager_layer_s is None:
        return 0.0
    return trial.get(f"eager_layer_s.{family.name}", family.eager_layer_s.value)


@lru_cache
def front_end() -> FrontEnd:
    """The API process."""
    return FrontEnd(**read_yaml(FILE)["front_end"])


def rendering_s(model: str, endpoint: str, trial: Mapping[str, float] | None = None) -> float:
    """Time in which the API process renders one request before the engine hears of it; none where the endpoint takes
    prompts as they are.

    Parameters
    ----------
    model : name of the model
    endpoint : `chat`, or another
    trial : values of a fit, by name, before those of the catalog
    """
    if endpoint != CHAT:
        return 0.0
    known = front_end()
    own = any(fnmatchcase(model.lower(), pattern) for pattern in known.own_models)
    name = "own_s" if own else "template_s"
    planned: float = getattr(known, name).value
    return (trial or {}).get(name, planned)


@lru_cache
def penalty_seq_s() -> Quantity:
    """Time that a repetition penalty adds to a step for each sequence."""
    return Quantity(**read_yaml(FILE)["penalty_seq_s"])


@lru_cache
def overhead_rows() -> tuple[OverheadRow, ...]:
    """All rows, oldest first."""
    rows = (OverheadRow(**fields) for fields in read_yaml(FILE)["vllm"])
    return tuple(sorted(rows, key=lambda row: version_key(row.since)))


@lru_cache
def host_rows() -> tuple[HostRow, ...]:
    """GPUs whose hosts differ from those of data centres."""
    return tuple(HostRow(**fields) for fields in read_yaml(FILE)["hosts"])


@lru_cache
def family_rows() -> tuple[FamilyRow, ...]:
    """Families of GPUs."""
    return tuple(FamilyRow(**fields) for fields in read_yaml(FILE)["families"])


@lru_cache
def link_rows() -> tuple[LinkRow, ...]:
    """Links that differ from machine to machine."""
    return tuple(LinkRow(**fields) for fields in read_yaml(FILE)["links"])


def row_of(version: str | None) -> OverheadRow:
    """The newest row not newer than vLLM `version`; None is the newest; a version older than all takes the oldest."""
    return _newest(overhead_rows(), version)


def experts_row(version: str | None) -> ExpertsRow:
    """The experts' row of vLLM `version`, chosen as by `row_of`."""
    return _newest(expert_rows(), version)


def _newest(rows: tuple[Row, ...], version: str | None) -> Row:
    known = rows if version is None else [row for row in rows if version_key(row.since) <= version_key(version)]
    return known[-1] if known else rows[0]


def host_row(version: str | None, asynchronous: bool | None) -> OverheadRow:
    """The row whose host works as the engine's does: where it is told to schedule asynchronously before that was the
    default, the first that does."""
    row = row_of(version)
    if asynchronous and not row.async_scheduling:
        return next(one for one in overhead_rows() if one.async_scheduling)
    return row


def engine_overheads(
    version: str | None = None,
    gpu_name: str | None = None,
    asynchronous: bool | None = None,
    trial: Mapping[str, float] | None = None,
    *,
    fused: bool | None = None,
    captured_tokens: int | None = None,
) -> EngineOverheads:
    """Overheads of vLLM `version`, as `0.11` or `0.8.5`, on a host as they stand beside the GPU.

    Parameters
    ----------
    asynchronous : whether the host works beside the GPU; None takes the version's default
    trial : values of a fit before those of the rows: `NAME.SINCE` of one row, `NAME` of all, `experts.FORMAT.SINCE`,
        `products.` and `tuned.` likewise, `host_factor`
    fused : whether all-reduces take the norm after them along; None takes the version's default
    captured_tokens : the largest captured batch; None takes vLLM's default

    Raises
    ------
    InputError : not a version number
    """
    values = trial or {}
    row, host, experts = row_of(version), host_row(version, asynchronous), experts_row(version)

    def figure(name: str) -> float:
        own = host if name in HOST_FIGURES else row
        planned: float = getattr(own, name).value
        return values.get(f"{name}.{own.since}", values.get(name, planned))

    beside = next((one.factor.value for one in host_rows() if gpu_name in one.gpus), None)
    factor = 1.0 if beside is None else values.get("host_factor", beside)
    figures = {name: factor * figure(name) if name in HOST_FIGURES else figure(name) for name in FIGURES}

    def reached(kind: str, of: Mapping[str, Quantity]) -> tuple[tuple[str, float], ...]:
        return tuple((name, values.get(f"{kind}.{name}.{experts.since}", one.value)) for name, one in of.items())

    return EngineOverheads(
        version=f"vLLM {row.since}",
        async_scheduling=row.async_scheduling if asynchronous is None else asynchronous,
        max_graph_tokens=int(row.max_graph_tokens.value),
        experts=reached("experts", experts.shares),
        products=reached("products", experts.products),
        tuned=reached("tuned", experts.tuned),
        tuned_shapes=tuned_shapes(gpu_name) if experts.tuned else frozenset(),
        eager_layer_s=eager_layer_s(gpu_name, values),
        captured_tokens=captured_tokens or 0,
        fused_reduce_bytes=fused_reduce_bytes(version, gpu_name, fused),
        **figures,
    )


def sustained(hardware: Hardware) -> Hardware:
    """The GPU with its matrix products and links slowed to what serving sustains of them; a GPU without a profile
    sustains of its relative's kernels what the relative does."""
    name = hardware.device.name
    kernels = hardware.transferred_from if gpu(name).relative and hardware.transferred_from else name
    compute = next((row.compute.value for row in family_rows() if kernels in row.gpus), 1.0)
    links = next((row.share.value for row in link_rows() if name in row.gpus), 1.0)
    return slowed(hardware, compute, links)


def through_the_host() -> float:
    """Share of the bandwidths between PCIe cards that is left where they have no peer access."""
    (row,) = (row for row in link_rows() if row.name == "pcie")
    return row.share.value


def slowed(hardware: Hardware, compute: float, links: float = 1.0) -> Hardware:
    """The GPU with these shares of its speed in matrix products and of its bandwidth in all-reduces.

    Products draw the most power, so lasting load lowers them; attention keeps most of its units waiting.
    """
    kernels = hardware.kernels
    gemm = {name: replace(fit, compute_share=compute * fit.compute_share) for name, fit in kernels.gemm.items()}
    experts = {name: replace(fit, compute_share=compute * fit.compute_share) for name, fit in kernels.experts.items()}
    all_reduce = {
        group: replace(fit, bytes_per_s=links * fit.bytes_per_s, bulk_bytes_per_s=links * fit.bulk_bytes_per_s)
        for group, fit in kernels.all_reduce.items()
    }
    return replace(hardware, kernels=replace(kernels, gemm=gemm, experts=experts, all_reduce=all_reduce))


def version_key(version: str) -> tuple[int, ...]:
    """Numbers of a version's release, for comparison: those of `v0.11.0rc2.dev98+g393de22d2` are 0, 11 and 0.

    Raises
    ------
    InputError : not a version
    """
    release = _VERSION.fullmatch(version.strip())
    if release is None:
        raise InputError(Problem("engine version must be a number as 0.11 or 0.8.5", got=version[:60]))
    return tuple(int(number) for number in release[1].split(".")[:3])
