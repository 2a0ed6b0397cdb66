"""GPUs of a pool: those of the catalog, or the user's own with the nearest measured relative's kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulator.catalog.gpus import Gpu, gpu
from simulator.catalog.hardware import hardware_profile
from simulator.catalog.host_links import host_links
from simulator.catalog.overheads import slowed, sustained, through_the_host
from simulator.catalog.precisions import precisions
from simulator.catalog.quantity import Quantity
from simulator.errors import InputError, Problem
from simulator.memory.profile import Card
from simulator.perf.hardware import Hardware
from simulator.perf.kernels import CollectiveKernel
from simulator.perf.power import PowerCurve
from simulator.resolve.cards import card_of, read_hardware, seen
from simulator.schema.hardware import HardwareSettings, LinkSettings
from simulator.units import BYTES_PER_GIB

PCIE_LANE_BYTES_PER_S = {3: 1e9, 4: 2e9, 5: 4e9, 6: 8e9}
"""Bandwidth of a PCIe lane in one direction, by generation: 8, 16, 32 and 64 GT/s."""
BRIDGE_LIKE = "h100-sxm"
"""GPU whose all-reduce over NVLink stands for a bridge's."""
DYNAMIC_EXPONENT = 3
"""Dynamic power grows with clock times voltage squared, and voltage with the clock."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A pool's GPU and its node.

    Attributes
    ----------
    gpu : of the catalog, with what the user says of it
    card : as the engine's start-up sees it
    hardware : its kernels as serving sustains them; None without a measured relative
    power : of one GPU
    host_bytes_per_s : that it copies from and to the memory of its host; None where it has no other than that
    like : GPU of the catalog whose kernels and prices stand in, None where it is that GPU
    notes : what a run tells of it
    """

    gpu: Gpu
    card: Card
    hardware: Hardware | None
    power: PowerCurve
    host_bytes_per_s: float | None
    like: str | None = None
    notes: tuple[str, ...] = ()


def machine_of(name: str, own: HardwareSettings | str | None, folder: Path) -> Machine:
    """The machine of a pool with GPUs called `name`.

    Parameters
    ----------
    own : what differs, or the YAML file that says it

    Raises
    ------
    InputError : an unknown GPU; a file that does not hold such settings; a limit above the board's power
    """
    base = gpu(name)
    profile = hardware_profile(base.name)
    kernels = None if profile is None else sustained(profile)
    if own is None:
        return Machine(base, card_of(base.name), kernels, base.power_curve, _host_bytes_per_s(base.name, None))
    settings = read_hardware(folder / own) if isinstance(own, str) else own
    card = _with_figures(base, settings)
    share, power = _limited(card, settings)
    if profile is not None:
        kernels = _kernels(card, base, profile, settings, share)
    changed = ", ".join(sorted(settings.model_fields_set - {"name"}))
    note = f"{card.name}: kernels of {base.name} stand in; given: {changed}; the error to expect is that of other GPUs"
    host = _host_bytes_per_s(base.name, settings.links)
    return Machine(card, seen(settings, card_of(base.name), card.name), kernels, power, host, base.name, (note,))


def _host_bytes_per_s(name: str, links: LinkSettings | None) -> float | None:
    """As it was measured, or a share of the link's peak: of the PCIe link that is given, or of the catalog's."""
    figures = host_links()
    if links is not None and links.host_gb_per_s is not None:
        return links.host_gb_per_s * 1e9
    if links is not None and links.pcie_generation is not None:
        return PCIE_LANE_BYTES_PER_S[links.pcie_generation] * links.pcie_lanes * figures.share.value
    return figures.gpus[name].value * figures.share.value if name in figures.gpus else None


def _with_figures(base: Gpu, settings: HardwareSettings) -> Gpu:
    """The catalog's GPU with the user's figures."""

    def given(value: float, unit: str) -> Quantity:
        return Quantity(value=value, unit=unit, kind="sourced", source="scenario", date="")

    changes: dict[str, Any] = {"name": settings.name or f"{base.name}-own"}
    if settings.memory_gib is not None:
        changes["memory"] = given(settings.memory_gib * BYTES_PER_GIB, "bytes")
    if settings.bandwidth_gb_per_s is not None:
        changes["bandwidth"] = given(settings.bandwidth_gb_per_s * 1e9, "bytes/s")
    if settings.peaks_tflops is not None:
        changes["peaks"] = {name: given(peak * 1e12, "FLOP/s") for name, peak in settings.peaks_tflops.items()}
        kept = {name: share for name, share in base.gemm_efficiency.items() if name in settings.peaks_tflops}
        changes["gemm_efficiency"] = dict.fromkeys(settings.peaks_tflops, base.gemm_efficiency["bf16"]) | kept
    if settings.board_power_w is not None:
        scale = settings.board_power_w / base.board_power.value
        changes["board_power"] = given(settings.board_power_w, "W")
        changes["power"] = {
            part: figure.model_copy(update={"value": scale * figure.value, "kind": "estimate"})
            for part, figure in base.power.items()
        }
    if settings.gpus_per_node is not None:
        changes["gpus_per_node"] = given(settings.gpus_per_node, "GPUs")
    links = settings.links
    if links is not None and links.pcie_generation is not None:
        speed = PCIE_LANE_BYTES_PER_S[links.pcie_generation] * links.pcie_lanes
        changes["intra_node"] = given(speed, "bytes/s")
    return base.model_copy(update=changes)


def _limited(card: Gpu, settings: HardwareSettings) -> tuple[float, PowerCurve]:
    """Share of the compute speed that a power limit and a clock cap leave, and the power under them.

    .. math:: s = \\min\\left(c, \\left(\\frac{L - P_0}{B - P_0}\\right)^{1/3}\\right), \\quad
        P(b) = P_0 + s^3 (P_{full}(b) - P_0)

    with the limit L, the board's power B, that of a loaded idle GPU P_0 and the cap c. A batch that stays below the
    limit is slowed as much: an upper bound of the loss.

    Raises
    ------
    InputError : a limit above the board's power, or below that of the idle GPU
    """
    curve, board, limit = card.power_curve, card.board_power.value, settings.power_limit_w
    share = settings.clock_share or 1.0
    if limit is not None:
        if not curve.idle_w < limit <= board:
            told = f"must be above the {curve.idle_w:.0f} W of an idle GPU and at most the board's {board:.0f} W"
            raise InputError(Problem(told, path="hardware.power_limit_w", got=f"{limit:g}"))
        share = min(share, ((limit - curve.idle_w) / (board - curve.idle_w)) ** (1 / DYNAMIC_EXPONENT))
    kept = share**DYNAMIC_EXPONENT
    low = curve.idle_w + kept * (curve.low_w - curve.idle_w)
    return share, replace(curve, low_w=low, span_w=kept * curve.span_w)


def _kernels(card: Gpu, base: Gpu, near: Hardware, settings: HardwareSettings, share: float) -> Hardware:
    """Kernels of the relative: its shares of the peaks, the peaks of `card`, and the links as they are."""
    lasting = sustained(near)
    computed = {name for name, entry in precisions().items() if entry.compute in card.peaks}
    kernels = replace(
        lasting.kernels,
        multiprocessors=settings.multiprocessors or lasting.kernels.multiprocessors,
        gemm={form: kernel for form, kernel in lasting.kernels.gemm.items() if form in computed},
        experts={form: kernel for form, kernel in lasting.kernels.experts.items() if form in computed},
        all_reduce=_all_reduces(card, base, near, lasting, settings.links),
    )
    hardware = Hardware(card.device, kernels, near.source, near.transferred_from or base.name)
    return _clocked(hardware, share)


def _clocked(hardware: Hardware, share: float) -> Hardware:
    """All compute slowed, of attention too; bandwidths as they are."""
    kernels = hardware.kernels
    attention, latent = (
        tuple(
            replace(entry, kernel=replace(entry.kernel, compute_share=share * entry.kernel.compute_share))
            for entry in entries
        )
        for entries in (kernels.attention, kernels.latent)
    )
    return slowed(replace(hardware, kernels=replace(kernels, attention=attention, latent=latent)), share)


def _all_reduces(
    card: Gpu, base: Gpu, near: Hardware, lasting: Hardware, links: LinkSettings | None
) -> dict[int, CollectiveKernel]:
    """All-reduces by group, on links scaled by their peaks, through the host, as measured, or over a bridge."""
    if links is None:
        return dict(lasting.kernels.all_reduce)
    measured, scale = lasting.kernels.all_reduce, card.intra_node.value / base.intra_node.value
    if links.peer_access is not None:
        measured = near.kernels.all_reduce
        scale *= 1.0 if links.peer_access else through_the_host()
    found = {group: _scaled(kernel, scale) for group, kernel in measured.items()}
    if links.bus_gb_per_s is not None:
        found = {group: _to_bus(kernel, group, links.bus_gb_per_s * 1e9) for group, kernel in found.items()}
    if links.nvlink_pair_gb_per_s is not None:
        bridged = hardware_profile(BRIDGE_LIKE)
        assert bridged is not None
        speed = links.nvlink_pair_gb_per_s * 1e9 / gpu(BRIDGE_LIKE).intra_node.value
        found[2] = _scaled(bridged.kernels.all_reduce[2], speed)
    return found


def _scaled(kernel: CollectiveKernel, scale: float) -> CollectiveKernel:
    return replace(kernel, bytes_per_s=kernel.bytes_per_s * scale, bulk_bytes_per_s=kernel.bulk_bytes_per_s * scale)


def _to_bus(kernel: CollectiveKernel, group: int, bus_bytes_per_s: float) -> CollectiveKernel:
    """Bandwidths so that large messages reach a bus bandwidth: a ring moves 2 (g - 1) / g of a message."""
    return _scaled(kernel, bus_bytes_per_s * group / (2 * (group - 1)) / kernel.bulk_bytes_per_s)
