"""The parameters of the fit, with start values and physical bounds."""

from __future__ import annotations

from calibrate.serving.fit import Parameter

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("exposed_s", 5e-4, 5e-5, 3e-3, "s"),
    Parameter("exposed_seq_s.v0.8", 2e-5, 1e-7, 8e-5, "s"),
    Parameter("exposed_seq_s.v0.10", 2e-5, 1e-7, 8e-5, "s"),
    Parameter("exposed_seq_s.v0.14", 5e-6, 1e-7, 8e-5, "s"),
    Parameter("launch_layer_s.v0.8", 1e-4, 1e-5, 3e-4, "s"),
    Parameter("launch_layer_s.v0.10", 5e-5, 1e-6, 3e-4, "s"),
    Parameter("launch_layer_s.v0.14", 5e-5, 1e-6, 3e-4, "s"),
    Parameter("consumer_host", 2.5, 0.5, 6.0, "-"),
    Parameter("host_s", 3e-4, 1e-5, 5e-3, "s"),
    Parameter("host_seq_s", 3e-6, 1e-8, 5e-5, "s"),
    Parameter("layer_s", 1e-6, 1e-8, 2e-5, "s"),
    Parameter("collective_wait_s", 2e-6, 1e-8, 3e-5, "s"),
    Parameter("request_s", 7e-3, 5e-4, 5e-2, "s"),
    Parameter("compute.ampere", 0.8, 0.4, 1.1, "share"),
    Parameter("compute.hopper", 0.85, 0.4, 1.1, "share"),
    Parameter("compute.ada", 0.95, 0.4, 1.3, "share"),
    Parameter("compute.blackwell", 0.9, 0.4, 1.1, "share"),
    Parameter("bandwidth.ampere", 0.97, 0.7, 1.15, "share"),
    Parameter("bandwidth.hopper", 0.97, 0.7, 1.15, "share"),
    Parameter("bandwidth.ada", 0.97, 0.7, 1.15, "share"),
    Parameter("bandwidth.blackwell", 0.97, 0.7, 1.15, "share"),
)
