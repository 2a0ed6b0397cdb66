"""The modules that vLLM builds of a model, without memory for their weights: how many parameters, which caches.

On the CPU backend. What it lacks of GPUs is replaced by what does not change a shape: attention of sparse models, the
kernel of experts, libraries that read images and sounds.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import math
import os
import sys
import tempfile
import types
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import torch
import transformers
import vllm.distributed.parallel_state as parallel
from torch.overrides import TorchFunctionMode
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.config.vllm import get_layers_from_vllm_config
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
from vllm.model_executor.layers.fused_moe import config as experts
from vllm.model_executor.layers.fused_moe import unquantized_fused_moe_method as experts_method
from vllm.model_executor.layers.fused_moe.oracle import unquantized as experts_kernels
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.model_executor.models import registry
from vllm.platforms import current_platform
from vllm.triton_utils import triton
from vllm.v1.attention.backends.registry import AttentionBackendEnum
from vllm.v1.worker.workspace import init_workspace_manager

KINDS = {
    "FullAttentionSpec": "full",
    "SlidingWindowSpec": "window",
    "ChunkedLocalAttentionSpec": "chunk",
    "CircularBufferSpec": "ring",
    "CrossAttentionSpec": "cross",
}
LIBRARIES = ("torchvision", "timm", "torchaudio")
SMALL = 4096
"""Values of a tensor that is made in memory where vLLM reads some as it builds."""
_MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full)


def modules(config: dict[str, Any]) -> dict[str, Any]:
    """Class, parameters, longest context, and caches as [layers, kind, bytes of a token or state, reach].

    Parameters
    ----------
    config : content of a config.json; planned in bf16 on one rank
    """
    _as_on_gpus()
    _known_to_transformers(str(config["model_type"]))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        arguments = EngineArgs(
            model=folder,
            load_format="dummy",
            skip_tokenizer_init=True,
            enforce_eager=True,
            dtype="bfloat16",
            enable_prefix_caching=False,
        )
        try:
            return _built(arguments.create_engine_config(), torch.device("meta"))
        except (NotImplementedError, RuntimeError) as error:
            if "meta" not in str(error):
                raise
            return _built(arguments.create_engine_config(), _LargeOnMeta())


def _built(config: VllmConfig, place: Any) -> dict[str, Any]:
    before = torch.get_default_dtype()
    with set_current_vllm_config(config):
        _start()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with place:
                model = initialize_model(config, model_config=config.model_config)
        finally:
            torch.set_default_dtype(before)
        layers: dict[str, Any] = get_layers_from_vllm_config(config, AttentionLayerBase)
        own = [layer for layer in layers.values() if not getattr(layer, "kv_sharing_target_layer_name", None)]
        specs = [spec for layer in own if (spec := layer.get_kv_cache_spec(config)) is not None]
    counted = Counter(_cache(spec) for spec in specs)
    return {
        "class": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "max_model_len": config.model_config.max_model_len,
        "caches": [[count, *cache] for cache, count in counted.items()],
    }


def _cache(spec: Any) -> tuple[str, float, int]:
    kind = type(spec).__name__
    if "Mamba" in kind:
        parts = zip(spec.shapes, spec.dtypes, strict=True)
        return "state", sum(math.prod(shape) * dtype.itemsize for shape, dtype in parts), 0
    reach = getattr(spec, "sliding_window", None) or getattr(spec, "attention_chunk_size", None) or 0
    return KINDS.get(kind, "latent" if "MLA" in kind else kind), spec.page_size_bytes / spec.block_size, reach


class _LargeOnMeta(TorchFunctionMode):  # type: ignore[misc]
    """Large tensors without memory, small ones with it, as some modules read what they made."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _MAKERS:
            listed = args and isinstance(args[0], tuple | list)
            size = args[0] if listed else kwargs.get("size") or args
            if math.prod(each for each in size if isinstance(each, int)) > SMALL:
                kwargs["device"] = "meta"
        return func(*args, **kwargs)


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Libraries of processors of images and sounds, which a model's module imports and its shape does not need."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in LIBRARIES else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        made: Any = types.ModuleType(spec.name)
        made.__path__, made.__version__ = [], "0"
        made.__getattr__ = _anything
        return made  # type: ignore[no-any-return]

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _anything(name: str) -> MagicMock:
    if name.startswith("__"):
        raise AttributeError(name)
    return MagicMock(name=name)


class _AlikeCuda:
    """This platform, but for one answer."""

    def is_cuda_alike(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(current_platform, name)


def _start() -> None:
    """Groups of one rank, made for each model: vLLM makes that of experts for models that have some alone."""
    if parallel.model_parallel_is_initialized():
        parallel.destroy_model_parallel()
    else:
        parallel.init_distributed_environment(1, 0, f"file://{tempfile.mktemp()}", 0, "gloo")
        init_workspace_manager(torch.device("meta"))
    parallel.ensure_model_parallel_initialized(1, 1)


def _known_to_transformers(model_type: str) -> None:
    """Types whose configs have no class there: their keys as they stand, encoders as a section."""
    if model_type not in transformers.CONFIG_MAPPING:
        own = type("OwnConfig", (_WithSections,), {"model_type": model_type})
        transformers.AutoConfig.register(model_type, own, exist_ok=True)


class _WithSections(transformers.PretrainedConfig):  # type: ignore[misc]
    def __post_init__(self, **keys: Any) -> None:
        super().__post_init__(**{key: _section(key, value) for key, value in keys.items()})


def _section(key: str, value: Any) -> Any:
    """A section as the class that transformers has of its type, with its own sections so too; others as they stand."""
    if not key.endswith("_config") or key == "quantization_config" or not isinstance(value, dict):
        return value
    named = str(value.get("model_type"))
    known = named in transformers.CONFIG_MAPPING and (key != "vision_config" or named.endswith("_vision_model"))
    kind = transformers.CONFIG_MAPPING[named] if known else transformers.PretrainedConfig
    return kind(**{name: _section(name, own) for name, own in value.items()})


def _as_on_gpus() -> None:
    """Replace, once, what the CPU backend refuses and no shape depends on, and what it keeps otherwise than GPUs do.

    A CPU with instructions for bfloat16 has states of 32 bit, whatever the model asks for (vllm/platforms/cpu.py).
    """
    if any(isinstance(finder, _Absent) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Absent())
    registry._run_in_subprocess = lambda ask: ask()
    torch.accelerator.empty_cache = lambda: None
    torch.cuda.Event = MagicMock
    torch.cpu._is_avx512_bf16_supported = lambda: False
    triton.set_allocator = lambda _: None
    experts.current_platform = _AlikeCuda()
    choose, platform = experts_kernels.select_unquantized_moe_backend, type(current_platform)

    def any_kernel(*args: Any, **named: Any) -> Any:
        try:
            return choose(*args, **named)
        except NotImplementedError:
            return experts_kernels.UnquantizedMoeBackend.CPU, None

    experts_kernels.select_unquantized_moe_backend = experts_method.select_unquantized_moe_backend = any_kernel
    attend = platform.get_attn_backend_cls

    def sparse_too(_: Any, *args: Any, **named: Any) -> Any:
        asked = named.get("attn_selector_config", args[1] if len(args) > 1 else None)
        is_sparse = asked is not None and asked.use_sparse
        return AttentionBackendEnum.FLASHMLA_SPARSE.get_path() if is_sparse else attend(*args, **named)

    platform.get_attn_backend_cls = classmethod(sparse_too)
