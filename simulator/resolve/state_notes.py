"""What the time of layers with a state rests on."""

from __future__ import annotations

from simulator.perf.architecture import Architecture
from simulator.perf.hardware import Hardware

NAMES = {
    "gated_delta_net": "Gated DeltaNet layers",
    "kda": "KDA layers",
    "mamba": "Mamba layers",
    "mamba2": "Mamba-2 layers",
    "lightning": "lightning attention",
    "short_convolution": "short convolutions",
}
"""Kinds of layers with a state (`StateLayers.kind`), in words."""


def notes_of_state(arch: Architecture, hardware: Hardware | None) -> tuple[str, ...]:
    """The warning of a run with such layers, which no published serving result was compared with.

    Parameters
    ----------
    hardware : kernels that the step time rests on; None where it is computed from the GPU's peaks
    """
    if arch.state is None:
        return ()
    if hardware is None:
        basis = "computed from the GPU's peaks"
    elif arch.state.kind in hardware.kernels.state:
        basis = "that of measured kernels"
    else:
        basis = "an estimate by bandwidths of a gated delta rule's kernels and counted operations"
    return (
        f"{arch.name}: the time of its {NAMES[arch.state.kind]} is {basis}; no published serving result of a model "
        "with such layers was compared: its expected error is not known",
    )
