"""What ran: vLLM's resolved configuration, the device and the versions."""

from __future__ import annotations

import platform
from typing import Any

import torch
import vllm
from vllm.platforms import current_platform

from calibrate.driver.internals import is_tested

_SECTIONS = (
    "model_config",
    "cache_config",
    "scheduler_config",
    "parallel_config",
    "compilation_config",
    "speculative_config",
    "load_config",
)
_TIMING_ENVIRONMENT = ("VLLM_", "OMP_", "CUDA_VISIBLE_DEVICES", "NCCL_")


def versions() -> dict[str, Any]:
    """Versions of what computes, and whether the tracing was tried with this vLLM."""
    return {
        "vllm": vllm.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "tested": is_tested(),
    }


def describe(config: Any, environment: dict[str, str]) -> dict[str, Any]:
    """Resolved configuration, model, device, versions and the environment variables that change timing.

    Times, names of machines and users are not in it.
    """
    return {
        "versions": versions(),
        "model_config": config.model_config.hf_config.to_dict(),
        "resolved": {name: _plain(vars(getattr(config, name))) for name in _SECTIONS if getattr(config, name, None)},
        "device": _device(config),
        "environment": {
            key: value for key, value in sorted(environment.items()) if key.startswith(_TIMING_ENVIRONMENT)
        },
        "cudagraph_capture_sizes": list(getattr(config.compilation_config, "cudagraph_capture_sizes", None) or []),
        "cudagraph_mode": str(getattr(config.compilation_config, "cudagraph_mode", None)),
    }


def _device(config: Any) -> dict[str, Any]:
    parallel = config.parallel_config
    described: dict[str, Any] = {
        "type": current_platform.device_type,
        "count": parallel.world_size,
        "name": current_platform.get_device_name(0) if current_platform.device_type != "cpu" else platform.machine(),
    }
    if current_platform.is_cuda():
        described["memory_bytes"] = int(current_platform.get_device_total_memory(0))
        described["cuda"] = torch.version.cuda
        described["driver"] = _cuda_driver()
    else:
        described["threads"] = torch.get_num_threads()
    return described


def _cuda_driver() -> str | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        version = pynvml.nvmlSystemGetDriverVersion()
    except Exception:  # the driver's version is worth noting, not worth failing for
        return None
    return version.decode() if isinstance(version, bytes) else str(version)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith("_") and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
