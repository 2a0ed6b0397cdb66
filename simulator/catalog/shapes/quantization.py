"""Formats of a checkpoint's matrices: its `quantization_config`, or a format by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from simulator.catalog.shapes.module_names import Ignored, Listed
from simulator.catalog.shapes.torchao import torchao
from simulator.errors import InputError, Problem
from simulator.memory.profile import Card
from simulator.memory.shape import Matrix, ModelShape
from simulator.memory.weights import Format, Pad, Weights

FP8 = Format("fp8", 1.0)
FP8_BLOCK = Format("fp8", 1.0, (128, 128), 4.0)
MXFP4 = Format("mxfp4", 0.5, (1, 32), 1.0)
MXFP8 = Format("mxfp8", 1.0, (1, 32), 1.0)
NVFP4 = Format("nvfp4", 0.5, (1, 16), 1.0)
INT8 = Format("int8", 1.0)
LLM_INT8 = Format("bitsandbytes", 1.0)
ORDER_BYTES = 8
"""Of an input whose group an index tells, and of its place in the order by groups (Marlin)."""
BY_NAME: dict[str, Format] = {
    "fp8": FP8,
    "int8": INT8,
    "w8a16": INT8,
    "int4": Format("int4", 0.5, (1, 128), 2.5),
    "awq": Format("awq", 0.5, (1, 128), 2.5),
    "gptq": Format("gptq", 0.5, (1, 128), 2.5),
    "nvfp4": NVFP4,
    "fp4": NVFP4,
    "mxfp4": MXFP4,
}
"""Formats that a user may name; a group of 4 bits has a 16-bit scale and a 4-bit zero point."""
KNOWN_METHODS = (
    "fp8, fbgemm_fp8, compressed-tensors, modelopt, gptq, awq, auto-round, mxfp4, bitsandbytes, quark, mxfp8, torchao"
)
_WEIGHT_ONLY = {4: "int4", 8: "w8a16"}
"""Formats that compute in 16 bit, by the bits of a weight."""
_HEADS_UNLESS_IGNORED = ("modelopt", "modelopt_fp4", "modelopt_mixed", "compressed-tensors")
"""Methods whose lists say where the language model's head stays in 16 bit; others have a key for one that does not."""


def named(name: str, shape: ModelShape, card: Card, hopper_kernel: bool) -> Weights:
    """Every linear layer in a format by name; MXFP4 is for experts only.

    Raises
    ------
    InputError : no such format
    """
    if name not in BY_NAME:
        raise InputError(Problem(f"no such format of weights; known are {', '.join(BY_NAME)}", got=name))
    chosen = BY_NAME[name]
    if name == "mxfp4":
        return Weights(lambda matrix: chosen if matrix.cut == "experts" else None, mxfp4_padding(card, hopper_kernel))
    if name == "fp8" and shape.is_mla:
        chosen = FP8_BLOCK
    return Weights(lambda matrix: None if matrix.cut == "vocab" else chosen)


def mxfp4_padding(card: Card, hopper_kernel: bool) -> Pad:
    """Widths to which the kernels of a GPU pad MXFP4 experts."""

    def pad(inner: int, hidden: int) -> tuple[int, int]:
        if card.generation == "hopper" and hopper_kernel:
            return _up(inner, 64), _up(hidden, 256)
        if card.generation == "blackwell":
            return _up(inner, 256), _up(hidden, 256)
        if card.generation == "cdna":
            return _up(inner, 128), hidden
        return _up(inner, 128), _up(hidden, 256)

    return pad


def _up(value: int, multiple: int) -> int:
    return math.ceil(value / multiple) * multiple


def of_checkpoint(section: Mapping[str, Any], file: str | None, card: Card, hopper_kernel: bool) -> Weights:
    """Formats that a checkpoint's own `quantization_config` gives, as the kernels of a GPU hold them.

    Raises
    ------
    InputError : a method or scheme that is not known here
    """
    padded = mxfp4_padding(card, hopper_kernel) if _method(section) == "mxfp4" else None
    return Weights(formats_of(section, file), padded)


def formats_of(section: Mapping[str, Any], file: str | None) -> Callable[[Matrix], Format | None]:
    """Format of each matrix by a `quantization_config`; None where it stays in 16 bit.

    Raises
    ------
    InputError : a method or scheme that is not known here
    """
    if isinstance(section.get("quantization"), Mapping):
        section = {"quant_method": "modelopt", **section, **section["quantization"]}
    method = _method(section)
    try:
        chosen = _of_method(method, section, file)
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        told = f"holds a value of a wrong type: {error}"
        raise InputError(Problem(told, file=file, path="quantization_config", got=method or "nothing")) from error
    if method in _HEADS_UNLESS_IGNORED or section.get("lm_head") is True:
        return chosen
    return lambda m: None if m.cut == "vocab" else chosen(m)


def _of_method(method: str, section: Mapping[str, Any], file: str | None) -> Callable[[Matrix], Format | None]:
    ignored = Ignored(_ignored(method, section))
    if method == "mxfp4":
        return lambda m: MXFP4 if m.cut == "experts" and m.name not in ignored else None
    if method == "compressed-tensors":
        chosen = _compressed(section, file)
    elif method in ("modelopt", "modelopt_fp4", "modelopt_mixed"):
        chosen = _modelopt(section, file)
    elif method == "torchao":
        chosen = torchao(section, file)
    else:
        uniform = _uniform(method, section, file)
        experts = _experts(section, file) or uniform
        apart = _quark_layers(section, file) if method == "quark" else _apart(section)

        def either(matrix: Matrix) -> Format | None:
            for modules, found in apart:
                if matrix.name in modules:
                    return found
            return experts if matrix.cut == "experts" else uniform

        chosen = either
    blocks = section.get("modules_in_block_to_quantize")
    if method.startswith("gptq") and blocks:
        only = Ignored([name for each in blocks for name in ([each] if isinstance(each, str) else each)])
        return lambda m: chosen(m) if m.name in only and m.name not in ignored else None
    return lambda m: None if m.name in ignored else chosen(m)


def _apart(section: Mapping[str, Any]) -> list[tuple[Ignored, Format | None]]:
    """Modules with bits and groups of their own: of GPTQ's `dynamic`, of auto-round's `extra_config`."""
    dynamic, extra = section.get("dynamic"), section.get("extra_config")
    listed: list[tuple[str, Any]] = []
    if isinstance(dynamic, Mapping):
        listed += [(f"re:{key.removeprefix('+:')}", own) for key, own in dynamic.items() if not key.startswith("-:")]
    if isinstance(extra, Mapping):
        listed += [(f"re:{key}" if _is_expression(key) else key, own) for key, own in extra.items()]
    together: dict[Format | None, list[str]] = {}
    for name, own in listed:
        if isinstance(own, Mapping):
            every = {**section, **own}
            found = (
                None if int(every.get("bits") or 4) >= 16 else _grouped(every, "bits", "group_size", _has_zeros(every))
            )
            together.setdefault(found, []).append(name)
    return [(Ignored(names), found) for found, names in together.items()]


def _is_expression(name: str) -> bool:
    return any(sign in name for sign in ("*", "\\", "(", "[", "^", "$"))


def _has_zeros(section: Mapping[str, Any]) -> bool:
    return not section.get("sym", False)


_OF_EXPERTS = ("expert_dtype", "routed_experts_quant_method", "store_dtype")
"""Keys that name the experts' own format: DeepSeek's, Ling's, and that of `Fp8Config`, vLLM 0.33.0."""


def _experts(section: Mapping[str, Any], file: str | None) -> Format | None:
    """Format of the experts where the checkpoint names one of their own.

    Raises
    ------
    InputError : a format that is not known here
    """
    key = next((key for key in _OF_EXPERTS if section.get(key) not in (None, "fp8")), None)
    if key is None:
        return None
    path, told = "quantization_config.moe_quant_algo", str(section.get("moe_quant_algo") or "").upper()
    if section[key] not in ("fp4", "mxfp4"):
        path, told = key if key == "expert_dtype" else f"quantization_config.{key}", str(section[key])
    elif told in ("", "NVFP4"):
        return NVFP4 if told else MXFP4
    raise InputError(Problem("unknown format of experts", file=file, path=path, got=told))


def _method(section: Mapping[str, Any]) -> str:
    method = str(section.get("quant_method") or section.get("quantization_method") or "").lower()
    return method.replace("compressed_tensors", "compressed-tensors")


def _ignored(method: str, section: Mapping[str, Any]) -> list[str]:
    """Modules in 16 bit: those that the method's own keys name (`Fp8Config.from_config`, vLLM 0.32.0)."""
    found: list[str] = []
    keys = ("modules_to_not_convert", "ignored_layers")
    for key in keys if method == "fp8" else (*keys, "ignore", "exclude_modules", "exclude", "llm_int8_skip_modules"):
        value = section.get(key)
        if isinstance(value, list):
            found += [str(each) for each in value]
    dynamic = section.get("dynamic")
    if isinstance(dynamic, Mapping):
        found += [f"re:{key[2:]}" for key in dynamic if str(key).startswith("-:")]
    return found


def _uniform(method: str, section: Mapping[str, Any], file: str | None) -> Format:
    """One format for all that is not ignored."""
    if method in ("fp8", "fbgemm_fp8"):
        block = section.get("weight_block_size")
        return Format("fp8", 1.0, (int(block[0]), int(block[1])), 4.0) if block else Format("fp8", 1.0, (1, 0), 4.0)
    if method == "mxfp8":
        return MXFP8
    if method in ("gptq", "gptq_marlin", "auto-round", "auto_round", "intel/auto-round"):
        return _grouped(section, "bits", "group_size", _has_zeros(section))
    if method in ("awq", "awq_marlin"):
        bits = "bits" if "bits" in section else "w_bit"
        group = "group_size" if "group_size" in section else "q_group_size"
        return _grouped(section, bits, group, zero=bool(section.get("zero_point", True)))
    if method == "bitsandbytes":
        return LLM_INT8 if section.get("load_in_8bit") else Format("bitsandbytes", 0.5, (1, 64), 4.0)
    if method == "quark":
        everywhere = section.get("global_quant_config") or {}
        return _quark(everywhere, "global_quant_config", file)
    raise InputError(
        Problem(
            f"unknown method of quantisation; known are {KNOWN_METHODS}",
            file=file,
            path="quantization_config.quant_method",
            got=method or "nothing",
        )
    )


def _computed(stored: Format, activations: bool) -> Format:
    """A format by how it computes: in 16 bit where the activations are not quantised."""
    name = stored.name if activations else _WEIGHT_ONLY.get(round(8 * stored.weight_bytes), stored.name)
    return replace(stored, name=name)


def _quark(scheme: Mapping[str, Any], path: str, file: str | None) -> Format:
    """Format of one scheme of Quark; NVFP4 has two weights, its values and the scale of a tensor.

    Raises
    ------
    InputError : a type that is not known here
    """
    formats = {"fp8_e4m3": FP8, "fp4": MXFP4, "int8": INT8, "int4": BY_NAME["int4"], "mxfp4": MXFP4}
    weight = scheme.get("weight") or {}
    if isinstance(weight, list):
        types = [(each.get("dtype"), each.get("group_size")) for each in weight]
        if len(types) == 2 and types[0] == ("fp4", 16):
            return _computed(NVFP4, bool(scheme.get("input_tensors")))
        dtype = " and ".join(str(each[0]) for each in types)
    else:
        dtype = str(weight.get("dtype", ""))
    if dtype not in formats:
        raise InputError(Problem("unknown type", file=file, path=f"quantization_config.{path}.weight.dtype", got=dtype))
    return _computed(formats[dtype], bool(scheme.get("input_tensors")))


def _quark_layers(section: Mapping[str, Any], file: str | None) -> list[tuple[Ignored, Format | None]]:
    """Modules with a scheme of their own: of Quark's `layer_quant_config`, none where it has no weights."""
    return [
        (
            Ignored([name]),
            _quark(own, f"layer_quant_config.{name}", file) if own and own.get("weight") else None,
        )
        for name, own in (section.get("layer_quant_config") or {}).items()
    ]


def _grouped(section: Mapping[str, Any], bits_key: str, group_key: str, zero: bool) -> Format:
    bits, group = int(section.get(bits_key) or 4), int(section.get(group_key) or 128)
    scale = 2.0 + (bits / 8 if zero else 0.0)
    order = ORDER_BYTES if section.get("desc_act") else 0
    return Format(_WEIGHT_ONLY.get(bits, f"int{bits}"), bits / 8, (1, max(group, 0)), scale, order)


def _compressed(section: Mapping[str, Any], file: str | None) -> Callable[[Matrix], Format | None]:
    """Schemes of `config_groups`, each with its targets; sparse weights are refused, as vLLM refuses them."""
    sparse = section.get("sparsity_config") or {}
    if str(section.get("format")).startswith(("marlin-24", "sparse")) or sparse.get("format", "dense") != "dense":
        told = "sparse weights are not planned, nor served by vLLM any more"
        got = str(sparse.get("format") or section.get("format"))
        raise InputError(Problem(told, file=file, path="quantization_config.format", got=got))
    schemes: list[tuple[Ignored | None, Format]] = []
    for name, group in (section.get("config_groups") or {}).items():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if not isinstance(weights, Mapping):
            continue
        targets = [str(target) for target in group.get("targets") or ["Linear"]]
        everywhere = any(target in ("Linear", "FusedMoE", "MoE") for target in targets)
        found = _computed(_scheme(weights, f"config_groups.{name}", file), bool(group.get("input_activations")))
        schemes.append((None if everywhere else Ignored(targets), found))
    if not schemes:
        raise InputError(
            Problem("no scheme for weights", file=file, path="quantization_config.config_groups", got="nothing")
        )

    def chosen(matrix: Matrix) -> Format | None:
        for targets, found in schemes:
            if targets is not None and matrix.name in targets:
                return found
        everywhere = (found for targets, found in schemes if targets is None and matrix.cut != "vocab")
        return next(everywhere, None)

    return chosen


def _scheme(weights: Mapping[str, Any], path: str, file: str | None) -> Format:
    bits, kind = int(weights.get("num_bits") or 0), str(weights.get("type") or "int")
    group = int(weights.get("group_size") or 0)
    strategy = str(weights.get("strategy") or "")
    if kind == "float" and bits == 8:
        if strategy == "block":
            high, wide = weights.get("block_structure") or (128, 128)
            return Format("fp8", 1.0, (int(high), int(wide)), 4.0)
        return MXFP8 if group == 32 else Format("fp8", 1.0, (1, 0), 4.0)
    if kind == "float" and bits == 4:
        return MXFP4 if group == 32 else NVFP4
    if kind == "int" and bits in (4, 8):
        zero = 0.0 if weights.get("symmetric", True) else bits / 8
        order = ORDER_BYTES if weights.get("actorder") == "group" else 0
        return Format(f"int{bits}", bits / 8, (1, max(group, 0)), 2.0 + zero, order)
    raise InputError(
        Problem("unknown scheme of weights", file=file, path=f"quantization_config.{path}", got=f"{bits} bits {kind}")
    )


_ALGORITHMS = {
    "FP8": FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": Format("fp8", 1.0, (1, 0), 4.0),
    "FP8_PB_WO": FP8_BLOCK,
    "FP8_BLOCK_SCALES": FP8_BLOCK,
    "NVFP4": NVFP4,
    "NVFP4_AWQ": NVFP4,
    "W4A16_NVFP4": replace(NVFP4, name="int4"),
    "MXFP4": MXFP4,
    "MXFP8": MXFP8,
    "W4A16_AWQ": BY_NAME["awq"],
    "INT8_SQ": INT8,
}


def _modelopt(section: Mapping[str, Any], file: str | None) -> Callable[[Matrix], Format | None]:
    algorithm = str(section.get("quant_algo") or section.get("quantization_algo") or "").upper()
    if not algorithm and section.get("config_groups"):
        return _compressed(section, file)
    if algorithm == "MIXED_PRECISION":
        return _by_layer(section, file)
    chosen = _algorithm(algorithm, file)
    return lambda matrix: chosen


def _by_layer(section: Mapping[str, Any], file: str | None) -> Callable[[Matrix], Format | None]:
    """Formats of `quantized_layers`; what is not among them stays in 16 bit."""
    layers = section.get("quantized_layers")
    if not isinstance(layers, Mapping) or not layers:
        raise InputError(Problem("no layers", file=file, path="quantization_config.quantized_layers", got=f"{layers}"))
    algorithms = {str(name): str(dict(each).get("quant_algo", "")).upper() for name, each in layers.items()}
    formats = {name: _algorithm(name, file) for name in set(algorithms.values())}
    listed = Listed(algorithms)

    def chosen(matrix: Matrix) -> Format | None:
        found = listed.get(matrix.name)
        return None if found is None else formats[found]

    return chosen


def _algorithm(name: str, file: str | None) -> Format:
    if name not in _ALGORITHMS:
        raise InputError(
            Problem(
                f"unknown algorithm; known are {', '.join(_ALGORITHMS)}",
                file=file,
                path="quantization_config.quant_algo",
                got=name or "nothing",
            )
        )
    return _ALGORITHMS[name]


def kv_cache_of(section: Mapping[str, Any] | None) -> str:
    """Format of the KV cache that the checkpoint fixes, else `auto`; vLLM leaves what it does not know at `auto`."""
    if not section:
        return "auto"
    inner = section.get("quantization")
    within: Mapping[str, Any] = inner if isinstance(inner, Mapping) else section
    for place in (within, section):
        scheme = place.get("kv_cache_scheme")
        if isinstance(scheme, Mapping):
            return {8: "fp8", 4: "nvfp4"}.get(int(scheme.get("num_bits") or 0), "auto")
    algorithm = str(within.get("kv_cache_quant_algo") or section.get("kv_cache_quant_algo") or "").lower()
    return algorithm if algorithm in ("fp8", "nvfp4") else "auto"
