"""What stands between an encoder and the language model (`*_vl.py`, `*_mm.py`, `*_vision.py` of vLLM 0.32.0)."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix


def is_kind(config: Config, top: Config, *beginnings: str) -> bool:
    """Whether an encoder, or else its model, is of a type that begins so."""
    return (config.model_type or top.model_type).startswith(beginnings)


def vision_projector(config: Config, top: Config, width: int, merge: int, hidden: int) -> list[Matrix]:
    """Matrices of the projector of an encoder of images `width` wide, of which `merge` times `merge` patches become
    one token."""
    side = max(merge, 1)
    squared = width * side * side
    out = config.number("out_hidden_size", 0) or hidden
    if is_kind(config, top, "glm4v", "glm_ocr"):
        inner = config.number("intermediate_size")
        return _wholes((out, squared), (out, out), (3 * inner, out))
    if merge and is_kind(config, top, "qwen", "exaone4_5", "paddleocr"):
        levels = len(config.get("deepstack_visual_indexes") or ())
        return _wholes(*[(squared, squared), (out, squared)] * (1 + levels))
    kind = top.model_type
    if kind == "mistral3":
        return _wholes((width, squared), (hidden, width), (hidden, hidden))
    if kind == "cohere2_vision":
        inner, shuffled = top.number("alignment_intermediate_size", 36864), top.number("downsample_factor", 2)
        return _wholes((inner, width * shuffled * shuffled), (hidden, inner // 2))
    if kind == "lfm2_vl":
        inner, shuffled = top.number("projector_hidden_size", 2560), top.number("downsample_factor", 2)
        return _wholes((inner, width * shuffled * shuffled), (hidden, inner))
    if kind.startswith(("idefics3", "smolvlm")):
        shuffled = top.number("scale_factor", 2)
        return _wholes((hidden, width * shuffled * shuffled))
    if kind.startswith("minicpmv4"):
        square = 4 * width
        return _wholes((square, width), (4 * square, square), (width, 4 * square), (square, square), (hidden, square))
    if kind.startswith(("llava", "internvl")):
        shuffled = round(1 / float(top.get("downsample_ratio", 0.5 if kind.startswith("internvl") else 1.0)))
        return _wholes((hidden, width * shuffled * shuffled), (hidden, hidden))
    return _wholes((squared, hidden))


def audio_projector(config: Config, top: Config, width: int, inner: int, hidden: int) -> list[Matrix]:
    """Matrices of the projector of an encoder of audio `width` wide."""
    out = config.number("output_dim", hidden)
    if is_kind(config, top, "qwen3"):
        between = config.number("downsample_hidden_size", 480)
        shrunk = -(-config.number("num_mel_bins", 128) // 8)
        return _audio_wholes((width, between * shrunk), (2 * between, 9 * between), (width, width), (out, width))
    if config.get("output_proj_dims"):
        out = config.number("output_proj_dims")
        return _audio_wholes((out, width), (hidden, out), (width, width))
    if is_kind(config, top, "voxtral"):
        return _audio_wholes((hidden, inner), (hidden, hidden))
    if is_kind(config, top, "glmasr"):
        return _audio_wholes((2 * hidden, inner), (hidden, 2 * hidden))
    return _audio_wholes((out, width))


def _wholes(*sizes: tuple[int, int]) -> list[Matrix]:
    return [
        parts.whole(f"vision_tower.merger.{number}", rows, columns, plain=True)
        for number, (rows, columns) in enumerate(sizes)
    ]


def _audio_wholes(*sizes: tuple[int, int]) -> list[Matrix]:
    return [
        parts.whole(f"audio_tower.projector.{number}", rows, columns, plain=True)
        for number, (rows, columns) in enumerate(sizes)
    ]
