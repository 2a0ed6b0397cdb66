"""A `config.json` or a model's folder → its shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.catalog.shapes.border import TOKENS
from simulator.catalog.shapes.builders import BUILDERS
from simulator.catalog.shapes.decoder import Built, finish
from simulator.catalog.shapes.defaults import with_defaults
from simulator.catalog.shapes.minicpmv import BY_VERSION, decoder_of
from simulator.catalog.shapes.reader import Config
from simulator.catalog.shapes.spellings import FOUR_TIMES, usual_names
from simulator.catalog.shapes.towers import encoders
from simulator.errors import InputError, Problem
from simulator.memory.shape import ModelShape
from simulator.results.inputs import input_json

TEXT_SECTIONS = ("thinker_config", "text_config", "llm_config", "language_config")
"""Where multimodal configs keep the keys of their language model, outer sections first."""
BESIDE = "hf_quant_config.json"
"""File of older exports of ModelOpt with what later ones have as `quantization_config` of the `config.json`."""
MODULES = "modules.json"
"""File of sentence-transformers with what follows the decoder: where vectors are pooled, vLLM chooses no tokens
(`get_pooling_config`, also of classes named `ForCausalLM`)."""
MOST_WEIGHTS = 1e15
REQUIRED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
OF_LATENT = ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
WITHOUT_ATTENTION = ("mamba", "mamba2", "falcon_mamba")
"""Types without heads of attention, and without MLPs."""
ONE_BY_LAYER = ("layers_block_type", "hybrid_override_pattern")
"""Keys with an entry for each layer, where configs may leave out how many there are."""
WIDTHS = (
    "intermediate_size",
    "moe_intermediate_size",
    "ffn_dim",
    "ffn_hidden_size",
    "block_ff_dim",
    "block_configs",
)
"""Keys that tell how wide MLPs are."""
BIDIRECTIONAL = ("gemma3", "gemma3_text")
"""Types of which vLLM reads `use_bidirectional_attention` (`gemma3.py`, vLLM 0.32.0)."""
HEADLESS = ("ForSequenceClassification", "ForTokenClassification", "ForRewardModel", "ForProcessRewardModel")
"""Ends of classes that score what was read instead of choosing a next token."""
_TEXT_OF = {
    "qwen2_vl": "qwen2",
    "qwen2_5_vl": "qwen2",
    "glm4v": "glm4",
    "gemma3": "gemma3_text",
    "minimax_m3_vl": "minimax_m3",
    "kimi_k25": "deepseek_v3",
    "kimi_vl": "deepseek_v3",
    "kimi_k3": "kimi_linear",
    "glm_ocr": "glm_ocr_text",
    "paddleocr_vl": "paddleocr_vl_text",
    "deepseek_vl_v2": "deepseek_v2",
    "phi3_v": "phi3",
    "Keye": "qwen3",
    "KeyeVL1_5": "qwen3",
    "dots_ocr": "qwen2",
    "phi4-siglip": "phi3",
    "kimi_audio": "qwen2",
    "isaac": "qwen3",
}
"""Language model of multimodal types whose text section does not name its own."""
_MISNAMED = {"minimax_m3_vl": "minimax_m3"}
"""Language model of types whose text section names an older one, which loaders ignore."""


def read_config(path: str | Path) -> tuple[str, dict[str, Any], str]:
    """Name, keys and file of a `config.json`, or of the one in a folder.

    Raises
    ------
    InputError : no such file, or no JSON object in it
    """
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    values = input_json(file)
    if not isinstance(values, dict):
        raise InputError(Problem("config.json must hold an object", file=str(file)))
    beside = file.with_name(BESIDE)
    if not values.get("quantization_config") and beside.is_file():
        found = input_json(beside)
        if not isinstance(found, dict):
            raise InputError(Problem(f"{BESIDE} must hold an object", file=str(beside)))
        values = {**values, "quantization_config": found}
    modules = file.with_name(MODULES)
    if modules.is_file():
        values = {**values, "modules": input_json(modules)}
    place = file.resolve()
    named = place.parent.name if place.name == "config.json" else place.stem
    name = Path(str(values.get("_name_or_path") or named)).name.lower()
    return name, values, str(file)


def shape_from_config(name: str, values: Mapping[str, Any], file: str | None = None, whole: bool = False) -> ModelShape:
    """Shape of a model from the keys of its config.

    Parameters
    ----------
    whole : the config leaves out nothing that its class would have, as those of the catalog

    Raises
    ------
    InputError : the key that is missing, or that changes the shape and is not understood
    """
    try:
        top = Config(values, file)
        text = text_section(top)
    except InputError:
        _refuse_unknown(values, file)
        raise
    kind = text.model_type if text.model_type in BUILDERS else _TEXT_OF.get(top.model_type, text.model_type)
    kind = _TEXT_OF.get(kind, kind) if kind not in BUILDERS else kind
    kind = _MISNAMED.get(top.model_type, kind)
    if kind not in BUILDERS and (named := decoder_of(top) if kind in BY_VERSION else _of_architecture(top)):
        kind = named
        text = Config({**text, "model_type": kind}, file, text.section)
    if kind not in BUILDERS:
        raise _unknown_type(kind, f"{text.section}model_type", file)
    text = text if whole else _completed(text, kind)
    _refuse_missing(text)
    _refuse_both_ways(text)
    family, build = BUILDERS[kind]
    built = Built()
    build(text, family, built)
    towers, matrices = encoders(top, text.number("hidden_size"))
    shape = finish(text, family, built, name, top, towers, matrices, head=chooses_tokens(top))
    text.refuse_unread()
    _refuse_empty(shape, file)
    if shape.kv_heads and shape.heads % shape.kv_heads:  # asserted by `Attention`
        told = f"must divide the {shape.heads} attention heads"
        raise text.problem("num_key_value_heads", told, str(shape.kv_heads))
    return shape


def _completed(text: Config, kind: str) -> Config:
    """The keys with what the model's class has for those that are left out. A model's own config names its widths; a
    section of it is published without those that are as in the class."""
    named = REQUIRED + OF_LATENT + (() if any(text.has(key) for key in WIDTHS) else WIDTHS)
    named += () if text.get("num_attention_heads", 1) else ("head_dim",)
    values = with_defaults(text, text.model_type or kind, () if text.section else named)
    return Config(values, text.file, text.section, set(values) - set(text))


def chooses_tokens(top: Config | Mapping[str, Any]) -> bool:
    """Whether the model writes text; others answer what was read with a vector or a score."""
    modules = top.get("modules")
    if isinstance(modules, list) and any("Pooling" in str(each) for each in modules):
        return False
    return not any(
        "Embedding" in str(each) or each == "Qwen3Model" or str(each).endswith(HEADLESS)
        for each in top.get("architectures") or ()
    )


def _of_architecture(top: Config) -> str | None:
    """A known type that the model's class is named after: engines choose the model by its class."""
    known = {kind.replace("_", ""): kind for kind in BUILDERS}
    for each in top.get("architectures") or ():
        name = str(each).removesuffix("ForCausalLM").removesuffix("ForConditionalGeneration").lower()
        if name in known:
            return known[name]
    return None


def _refuse_unknown(values: Mapping[str, Any], file: str | None) -> None:
    """Refuse a type that nobody knows here rather than its keys, which may hold what they do only there.

    Raises
    ------
    InputError : no type of the config, or of a section of it, is known
    """
    sections = [values, *(each for key in TEXT_SECTIONS if isinstance(each := values.get(key), Mapping))]
    types = [str(section.get("model_type") or "") for section in sections]
    if not any(each in BUILDERS or each in _TEXT_OF or each in BY_VERSION for each in types):
        raise _unknown_type(types[0], "model_type", file)


def _unknown_type(kind: str, path: str, file: str | None) -> InputError:
    text = "a model of this type is not known here: its layers cannot be planned"
    return InputError(Problem(text, file=file, path=path, got=kind or "nothing"))


def _refuse_both_ways(text: Config) -> None:
    """Refuse a decoder that was turned into an encoder: vLLM keeps no KV cache of it.

    Raises
    ------
    InputError : naming the key that says so
    """
    for key, encodes in (("is_causal", False), ("use_bidirectional_attention", True)):
        if text.get(key) is encodes and (key == "is_causal" or text.model_type in BIDIRECTIONAL):
            told = "attends in both directions: vLLM keeps no KV cache of it, and only decoders are planned here"
            raise text.problem(key, told, str(encodes).lower())


def _refuse_empty(shape: ModelShape, file: str | None) -> None:
    """Refuse what no model can be: matrices or caches of nothing, more weights than anybody has memory for.

    Raises
    ------
    InputError : naming the first
    """
    for matrix in shape.matrices:
        if matrix.name != "rotary" and min(matrix.rows, matrix.columns, matrix.copies) < 1:
            got = f"{matrix.copies} of {matrix.rows} × {matrix.columns}"
            raise InputError(Problem("a matrix of no size follows from these keys", file, path=matrix.name, got=got))
    for cache in shape.caches:
        if (
            cache.kind != "state"
            and min(cache.heads, cache.head_dim, cache.reach or cache.kind not in ("window", "chunk")) < 1
        ):
            got = f"{cache.heads} heads of {cache.head_dim}, {cache.reach} tokens"
            raise InputError(Problem(f"a cache of no size follows from these keys ({cache.kind})", file, got=got))
    weights = sum(matrix.rows * matrix.columns * matrix.copies for matrix in shape.matrices)
    if weights > MOST_WEIGHTS:
        raise InputError(Problem(f"has more than {MOST_WEIGHTS:g} weights", file, got=f"{weights:.3g}"))
    if not 1 <= shape.context <= TOKENS:
        text = f"the longest context must be from 1 to {TOKENS:,} tokens"
        raise InputError(Problem(text, file, path="max_position_embeddings", got=f"{shape.context:,}"[:60]))


def _refuse_missing(text: Config) -> None:
    """Refuse a config that lacks what any model has, or any with latent attention.

    Raises
    ------
    InputError : naming every key that is missing
    """
    bare = text.model_type in WITHOUT_ATTENTION
    needed = REQUIRED + (OF_LATENT if text.has("kv_lora_rank") else ())
    lacking = [key for key in needed if not text.has(key) and not (bare and key == "num_attention_heads")]
    if not bare and text.model_type not in FOUR_TIMES and not any(text.has(key) for key in WIDTHS):
        lacking.append(WIDTHS[0])
    if lacking:
        kind = text.model_type
        raise InputError(
            *(
                Problem(f"config.json of type {kind!r} lacks it", file=text.file, path=f"{text.section}{key}")
                for key in lacking
            )
        )


def text_section(config: Config) -> Config:
    """Keys of the language model: the config's own, or those of its text section."""
    for section in TEXT_SECTIONS:
        found = config.get(section)
        if isinstance(found, Mapping):
            config = Config({**_inherited(config), **found}, config.file, f"{config.section}{section}.")
    return _with_layers(config)


def _with_layers(config: Config) -> Config:
    """The keys under their usual names, with the number of layers where a list of them tells it."""
    config = Config(usual_names(config), config.file, config.section)
    if config.has("num_hidden_layers"):
        return config
    listed = next((config.get(key) for key in ONE_BY_LAYER if config.has(key)), None)
    if not isinstance(listed, list | str) or not listed:
        return config
    return Config({**config, "num_hidden_layers": len(listed)}, config.file, config.section)


def _inherited(config: Config) -> dict[str, Any]:
    """Keys of the outer config that its text section may leave out."""
    keys = ("vocab_size", "tie_word_embeddings", "torch_dtype", "dtype", "max_position_embeddings")
    return {key: config[key] for key in keys if config.get(key) is not None}
