"""Encoders of images, video and audio: their weights, and what their profile run needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.deep_encoders import deep_encoder
from simulator.catalog.shapes.defaults import encoder_with_defaults
from simulator.catalog.shapes.minicpmv import minicpm_o, minicpm_v
from simulator.catalog.shapes.molmo import molmo2_encoder, molmo_encoder
from simulator.catalog.shapes.parakeet import parakeet
from simulator.catalog.shapes.phi3v import phi3v
from simulator.catalog.shapes.phi4mm import phi4mm
from simulator.catalog.shapes.projectors import audio_projector, deepstack_levels, is_kind, vision_projector
from simulator.catalog.shapes.qformers import blip_2, granite_speech
from simulator.catalog.shapes.radio import is_radio, radio
from simulator.catalog.shapes.reader import Config
from simulator.catalog.shapes.visual_words import ovis2, ovis2_5
from simulator.catalog.shapes.whisper import convolutions, kimi_audio, whisper_itself
from simulator.memory.shape import Matrix, Tower

MOST_TOKENS = 16384
"""Tokens of the largest image of encoders that take any size (Qwen-VL)."""
GATED = ("qwen2_5_vl", "qwen2_5_omni", "exaone4_5", "pixtral", "glm4v", "glm_ocr", "glm5_next", "gemma4", "dots")
"""Beginnings of the types of encoders of images whose MLPs have a gate."""
POSITIONS_HELD = ("qwen3_vl", "qwen3_5", "qwen3_omni", "qwen4_exp")
"""Beginnings of the types of encoders that hold added positions until they are done (`qwen3_vl.py`, vLLM 0.33.0)."""
CONFORMERS = ("gemma4_audio",)
"""Encoders of audio whose layers have two MLPs, five projections of attention and a convolution between two more."""
CONFORMER_SQUARES = 24
"""Matrices as wide as they are high in such a layer (`gemma4_mm.py`, vLLM 0.32.0)."""
SHRUNK = ("qwen3",)
"""Beginnings of the types of encoders of audio that begin with convolutions over bins and time: `projectors`."""
PHI_READS = -2
"""Layer of its encoder that Phi 4 with SigLIP 2 reads, whatever its config says (`phi4siglip.py`, vLLM 0.32.0)."""
NVLM_MORE = 7
"""Heads of NVLM's encoder that hold nothing, so that eight GPUs can share them (`nvlm_d.py`, vLLM 0.32.0)."""
KEYE_PACKED = 32768
"""Rows of a second table of positions that Keye loads (`keye.py`, vLLM 0.32.0)."""
SPELLED_VIDEOS = ("qwen3_vl", "qwen3_vl_moe")
"""Types whose videos are told with a time between their tokens."""
VIDEO_TOKENS, SPELLED = 12288, 12.5
"""Of their largest video (25,165,824 pixels, 2,048 a token), and how many rows 0.11 and 0.12 hold for each of them
(`qwen3_vl.py`)."""
SIGLIP_2 = ("siglip2", "pixel_shuffle_siglip2")
WHOLE = {
    "phi3_v": phi3v,
    "phi4mm": phi4mm,
    "minicpmv": minicpm_v,
    "minicpmo": minicpm_o,
    "kimi_audio": kimi_audio,
    "whisper": whisper_itself,
    "molmo": molmo_encoder,
    "molmo2": molmo2_encoder,
    "ovis": ovis2,
    "ovis2_5": ovis2_5,
}
"""Types whose encoders stand elsewhere than in a section for images and one for audio."""


JOINED = (
    *("Keye", "KeyeVL1_5", "NVLM_D", "NemotronH_Nano", "Llama_Nemotron", "R", "aria", "audioflamingo3", "aya_vision"),
    *("bee", "blip-2", "chatglm", "cohere2_vision", "cosmos3", "deepseek_vl_v2", "dots_ocr", "eagle_2_5_vl"),
    *("ernie4_5", "exaone4_5", "gemma3", "gemma4", "glm4v", "glm5_next", "glm_ocr", "glmasr", "granite_speech"),
    *("h2ovl_chat", "hunyuan_vl", "idefics3", "interns1", "internvl", "isaac", "kimi", "lfm2_vl", "lightonocr"),
    *("llama4", "llava", "minicpm", "minimax", "mistral", "muse_glimmer", "nemotron", "nano_nemotron", "opencua"),
    *("paddleocr_vl", "paligemma", "phi3_v", "phi4", "pixtral", "qwen", "rvl", "shieldgemma2", "skywork_chat"),
    *("smolvlm", "step", "ultravox", "voxtral"),
)
"""Beginnings of the types of models of which it is known how their encoders reach their decoder."""


def encoders(top: Config, hidden: int) -> tuple[tuple[Tower, ...], tuple[Matrix, ...]]:
    """Encoders of a multimodal config, and their matrices in 16 bit.

    Raises
    ------
    InputError : a section of an encoder that nobody reads here, or a type of which it is not known how they join
    """
    towers: list[Tower] = []
    matrices: list[Matrix] = []
    top = _with_encoders(top)
    if (whole := WHOLE.get(top.model_type)) is not None:
        return whole(top, hidden)
    for key, build in (("vision_config", _vision), ("audio_config", _audio), ("sound_config", _audio)):
        section = top.get(key)
        if isinstance(section, Mapping) and section:
            if not top.model_type.startswith(JOINED):
                told = "a model of this type is not known here: how its encoders reach its decoder is not planned"
                raise top.problem("model_type", told, top.model_type)
            section = Config(encoder_with_defaults(section), top.file, f"{top.section}{key}.")
            tower, found = build(section, top, hidden)
            matrices += found
            if tower is not None:
                towers.append(replace(tower, hears=build is _audio))
    queried = next((key for kind, key in QUERIED.items() if top.model_type.startswith(kind)), None)
    if queried is not None:
        matrices += blip_2(top, hidden) if queried == "qformer_config" else granite_speech(top, hidden)
    read = {queried, "vision_config", "audio_config", "sound_config"}
    for key, section in top.items():
        if key not in read and isinstance(section, Mapping) and section and _OF_ENCODER.search(key):
            raise top.problem(key, "an encoder of this kind is not understood: its weights cannot be planned")
    for key in NAMED_ENCODERS:
        if top.get(key):
            told = "names an encoder that is not sized here: its weights cannot be planned"
            raise top.problem(key, told, str(top[key])[:60])
    return tuple(towers), tuple(matrices)


NAMED_ENCODERS = ("timm_model_ids", "vision_backbone_id", "mm_vision_tower")
"""Keys by which models name an encoder (OpenVLA, LLaVA of its first authors)."""


QUERIED = {"blip-2": "qformer_config", "granite_speech": "encoder_config"}
"""Beginnings of the types of models with a Q-Former, and the section that others are refused by."""
_OF_ENCODER = re.compile(r"^(vi[st]|aud|sound|speech|sam|image|vlm)\w*_config$|(encoder|former|tower)_config$")
"""Names of sections that hold an encoder."""


def _with_encoders(top: Config) -> Config:
    """The section that holds the encoders: that of the thinker in models that speak."""
    thinker = top.get("thinker_config")
    return Config(thinker, top.file, f"{top.section}thinker_config.") if isinstance(thinker, Mapping) else top


def _first(config: Config, key: str) -> int:
    """A number, or the first of a list of two."""
    found = config.get(key)
    return int(found[0]) if isinstance(found, list) and found else config.number(key, 0)


def _vision(config: Config, top: Config, hidden: int) -> tuple[Tower | None, list[Matrix]]:
    if is_kind(config, top, "gemma4_unified"):
        return _patches_alone(config, hidden)
    if isinstance(config.get("width"), Mapping):
        return deep_encoder(config, top)
    if is_radio(config):
        return radio(config, top, hidden)
    width = config.first("hidden_size", "embed_dim", "vt_hidden_size", "width")
    layers = config.first("num_hidden_layers", "depth", "vt_num_hidden_layers", "layers")
    read = top.get("vision_feature_layer")
    read = PHI_READS if top.model_type == "phi4-siglip" else read
    if top.model_type.startswith(("llava", "phi4-siglip")) and isinstance(read, int) and -layers < read < 0:
        layers += read + 1
    if isinstance(config.get("hidden_size"), int) and config.get("out_hidden_size") is None and config.get("embed_dim"):
        width = config.number("embed_dim")
    inner = config.first("intermediate_size", "vt_intermediate_size", default=0)
    inner = inner or int(width * float(config.get("mlp_ratio", 4)))
    if is_kind(config, top, "glm4v"):
        inner = config.number("out_hidden_size", inner)
    patch = _first(config, "patch_size") or config.first("spatial_patch_size", default=14)
    merge = config.first("spatial_merge_size", default=0) or top.first("spatial_merge_size", default=0)
    channels = config.first("num_channels", "in_channels", "in_chans", default=3)
    pixels = config.number("temporal_patch_size", 1) * patch * patch * channels
    rises = 3 if is_kind(config, top, *GATED) else 2
    heads = config.first("num_attention_heads", "num_heads", "vt_num_attention_heads", default=1)
    pairs = config.number("num_key_value_heads", heads)
    more = NVLM_MORE if top.model_type == "NVLM_D" else 0
    matrices: list[Matrix] = [parts.whole("vision_tower.patch_embed", width, pixels, plain=True)]
    for layer in range(layers):
        name = f"vision_tower.blocks.{layer}"
        rows = (2 * width + 2 * width * pairs // max(heads, 1)) * (heads + more) // max(heads, 1)
        matrices.append(Matrix(f"{name}.attn", rows, width, "tp", plain=True))
        matrices.append(Matrix(f"{name}.mlp", rises * inner, width, "tp", plain=True))
    if rows := _positions(config, patch):
        matrices.append(parts.whole("vision_tower.positions", rows, width, plain=True))
    if is_kind(config, top, "Keye"):
        matrices.append(parts.whole("vision_tower.packed_positions", KEYE_PACKED, width, plain=True))
    matrices += vision_projector(config, top, width, merge, hidden)
    tower = _vision_tower(config, top, width, rises * inner, patch, merge)
    kept = (width if is_kind(config, top, *POSITIONS_HELD) else 0) + tower.rotates * width // max(heads, 1)
    if top.model_type in SPELLED_VIDEOS:
        tower = replace(tower, video_tokens=VIDEO_TOKENS, spelled_tokens=int(SPELLED * VIDEO_TOKENS))
    return replace(tower, pixels=pixels, kept=kept, outputs=1 + deepstack_levels(config)), matrices


def _patches_alone(config: Config, hidden: int) -> tuple[Tower, list[Matrix]]:
    """Gemma 4 as one model: patches are projected, and nothing looks at them before the decoder does."""
    width, side = config.number("mm_embed_dim"), config.number("patch_size") * config.number("pooling_kernel_size", 1)
    return Tower(width, width, 1, config.number("mm_posemb_size")), [
        parts.whole("vision_tower.patch_embed", width, 3 * side * side, plain=True),
        parts.whole("vision_tower.positions", 2 * config.number("mm_posemb_size"), width, plain=True),
        parts.whole("vision_tower.merger", hidden, width, plain=True),
    ]


def _positions(config: Config, patch: int) -> int:
    """Rows of a learned table of positions of patches; 0 without, or where positions rotate."""
    listed = config.number("num_position_embeddings", 0)
    if listed or config.get("position_embedding_size"):
        return listed or 2 * config.number("position_embedding_size")
    listed = config.number("num_positions", 0)
    if config.model_type.startswith(SIGLIP_2):
        listed = config.number("num_patches", 0)
    if listed:
        return listed
    fixed = config.model_type.startswith(("siglip", "clip", "internvl", "idefics", "paddleocr", "llama4", "blip_2"))
    return (_first(config, "image_size") // patch) ** 2 if fixed else 0


def _vision_tower(config: Config, top: Config, width: int, inner: int, patch: int, merge: int) -> Tower:
    per_item = top.first("mm_tokens_per_image", "image_seq_length", "num_query_tokens", default=0)
    image = config.first("image_size", default=0) if not isinstance(config.get("image_size"), list) else 0
    if per_item and image:
        return Tower(width, inner, max(1, (image // patch) ** 2 // per_item), per_item)
    if merge:
        return Tower(width, inner, merge * merge, MOST_TOKENS, rotates=True)
    patches = (image // patch) ** 2 if image else 1024
    return Tower(width, inner, 1, max(patches, 1))


def _audio(config: Config, top: Config, hidden: int) -> tuple[Tower | None, list[Matrix]]:
    if is_kind(config, top, "gemma4_unified"):
        return None, [parts.whole("audio_tower.projector", hidden, config.number("audio_embed_dim"), plain=True)]
    if config.model_type.startswith("parakeet") and config.has("projection_hidden_size"):
        return None, parakeet(config, hidden)
    width = config.first("hidden_size", "d_model")
    layers = config.first("num_hidden_layers", "encoder_layers", "conf_num_hidden_layers")
    inner = config.first("intermediate_size", "encoder_ffn_dim", default=4 * width)
    rows = CONFORMER_SQUARES * width if config.model_type in CONFORMERS else 4 * width + 2 * inner
    matrices = [Matrix(f"audio_tower.layers.{layer}", rows, width, "tp", plain=True) for layer in range(layers)]
    bins = config.number("num_mel_bins", 0)
    if bins and not is_kind(config, top, *SHRUNK):
        matrices.append(convolutions(width, bins))
    return None, matrices + audio_projector(config, top, width, inner, hidden)
