"""The parameters of the fit: what is expected of them before any serving result is seen, and physical bounds.

`NAME.SINCE` is a parameter of one generation of the engine. Up to vLLM 0.9 CUDA graphs were captured in pieces, so the
host launches every layer; 0.10 brought whole graphs for decoding; from 0.14 the host works one step ahead.
"""

from __future__ import annotations

from calibrate.serving.fit import Parameter

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("exposed_s", 5e-4, 5e-5, 3e-3, "s", 0.7),
    Parameter("exposed_seq_s.0.8", 1.5e-5, 1e-7, 1e-4, "s", 0.7),
    Parameter("exposed_seq_s.0.10", 1.5e-5, 1e-7, 1e-4, "s", 0.7),
    Parameter("exposed_seq_s.0.14", 3e-6, 1e-7, 1e-4, "s", 1.0),
    Parameter("launch_layer_s.0.8", 1e-4, 1e-5, 3e-4, "s", 0.7),
    Parameter("launch_layer_s.0.10", 5e-5, 1e-6, 3e-4, "s", 1.0),
    Parameter("launch_layer_s.0.14", 3e-5, 1e-6, 3e-4, "s", 1.0),
    Parameter("host_factor", 1.5, 0.5, 6.0, "-", 0.7),
    Parameter("host_s", 5e-4, 1e-5, 5e-3, "s", 0.7),
    Parameter("host_seq_s", 3e-6, 1e-8, 5e-5, "s", 1.0),
    Parameter("layer_s", 1e-6, 1e-8, 2e-5, "s", 1.0),
    Parameter("collective_wait_s", 2e-6, 1e-8, 3e-5, "s", 1.0),
    Parameter("request_s", 6e-3, 5e-4, 5e-2, "s", 0.7),
    Parameter("links.pcie", 0.7, 0.1, 1.2, "share", 0.5),
    Parameter("compute.ampere", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.hopper", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.hopper-pcie", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.ada", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.ada-consumer", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.blackwell", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.blackwell-workstation", 0.85, 0.4, 1.5, "share", 0.2),
)
