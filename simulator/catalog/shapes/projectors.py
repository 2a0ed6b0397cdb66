"""What stands between an encoder and the language model (`*_vl.py`, `*_mm.py`, `*_vision.py` of vLLM 0.32.0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Matrix

Sizes = tuple[tuple[int, int], ...]
"""Rows and columns of matrices."""


@dataclass(frozen=True, slots=True)
class Between:
    """What a projector's sizes follow from.

    Attributes
    ----------
    config, top : sections of the encoder and of its model
    width, hidden : of the encoder, and of the language model
    merge : patches along each side that become one token; of images
    inner : of the encoder's MLPs; of audio
    """

    config: Config
    top: Config
    width: int
    hidden: int
    merge: int = 0
    inner: int = 0

    @property
    def squared(self) -> int:
        """Width of the patches that become one token."""
        return self.width * max(self.merge, 1) ** 2

    @property
    def out(self) -> int:
        """Of an encoder of images that says its own width for the language model."""
        return self.config.number("out_hidden_size", 0) or self.hidden

    def shuffled(self, key: str) -> int:
        """Width of patches that are put side by side by a factor of the model."""
        return self.width * self.top.number(key, 2) ** 2


NVLM_SHUFFLED = 4
"""Patches that NVLM puts side by side (`nvlm_d.py`)."""
EVA_SQUARE = 4
"""Patches that a convolution makes one of (`glm4v.py`)."""

Fits = Callable[[Between], bool]
Rules = tuple[tuple[Fits, Callable[[Between], Sizes]], ...]


def is_kind(config: Config, top: Config, *beginnings: str) -> bool:
    """Whether an encoder, or else its model, is of a type that begins so."""
    return (config.model_type or top.model_type).startswith(beginnings)


def vision_projector(config: Config, top: Config, width: int, merge: int, hidden: int) -> list[Matrix]:
    """Matrices of the projector of an encoder of images `width` wide, of which `merge` times `merge` patches become
    one token."""
    return _wholes("vision_tower.merger", _VISION, Between(config, top, width, hidden, merge=merge))


def audio_projector(config: Config, top: Config, width: int, inner: int, hidden: int) -> list[Matrix]:
    """Matrices of the projector of an encoder of audio `width` wide."""
    return _wholes("audio_tower.projector", _AUDIO, Between(config, top, width, hidden, inner=inner))


def deepstack_levels(config: Config) -> int:
    """Layers of an encoder that hand embeddings of their own to the language model."""
    return len(config.get("deepstack_visual_indexes") or ())


def _wholes(name: str, rules: Rules, asked: Between) -> list[Matrix]:
    """Matrices by the first rule that fits."""
    sizes = next(sizes for fits, sizes in rules if fits(asked))(asked)
    return [parts.whole(f"{name}.{number}", *size, plain=True) for number, size in enumerate(sizes)]


def _encoder(*beginnings: str) -> Fits:
    return lambda asked: is_kind(asked.config, asked.top, *beginnings)


def _merging(*beginnings: str) -> Fits:
    return lambda asked: asked.merge > 0 and is_kind(asked.config, asked.top, *beginnings)


def _model(name: str) -> Fits:
    return lambda asked: asked.top.model_type == name


def _models(*beginnings: str) -> Fits:
    return lambda asked: asked.top.model_type.startswith(beginnings)


def _others(_: Between) -> bool:
    return True


def _qwen(asked: Between) -> Sizes:
    return ((asked.squared, asked.squared), (asked.out, asked.squared)) * (1 + deepstack_levels(asked.config))


def _glm(asked: Between) -> Sizes:
    out = asked.out
    return (out, asked.squared), (out, out), (3 * asked.config.number("intermediate_size"), out)


def _glm_next(asked: Between) -> Sizes:
    out = asked.out
    return (out, asked.squared), (out, out), (3 * asked.config.number("projection_intermediate_size"), out)


def _eva(asked: Between) -> Sizes:
    hidden, inner = asked.hidden, asked.top.number("ffn_hidden_size")
    return (hidden, EVA_SQUARE * asked.width), (hidden, hidden), (3 * inner, hidden)


def _isaac(asked: Between) -> Sizes:
    width = asked.width * asked.config.number("pixel_shuffle_scale_factor", 1) ** 2
    return (4 * width, width), (asked.hidden, 4 * width)


def _mistral(asked: Between) -> Sizes:
    return (asked.width, asked.squared), (asked.hidden, asked.width), (asked.hidden, asked.hidden)


def _cohere(asked: Between) -> Sizes:
    inner = asked.top.number("alignment_intermediate_size", 36864)
    return (inner, asked.shuffled("downsample_factor")), (asked.hidden, inner // 2)


def _lfm(asked: Between) -> Sizes:
    inner = asked.top.number("projector_hidden_size", 2560)
    return (inner, asked.shuffled("downsample_factor")), (asked.hidden, inner)


def _idefics(asked: Between) -> Sizes:
    return ((asked.hidden, asked.shuffled("scale_factor")),)


def _minicpm(asked: Between) -> Sizes:
    width, square = asked.width, 4 * asked.width
    return (square, width), (4 * square, square), (width, 4 * square), (square, square), (asked.hidden, square)


def _phi_siglip(asked: Between) -> Sizes:
    return (asked.hidden, asked.width), (asked.hidden, asked.hidden)


def _bee(asked: Between) -> Sizes:
    return (4 * asked.hidden, asked.width), (asked.hidden, 4 * asked.hidden)


def _llava(asked: Between) -> Sizes:
    return _two_after(asked, 1.0)


def _internvl(asked: Between) -> Sizes:
    return _two_after(asked, 0.5)


def _nvlm(asked: Between) -> Sizes:
    between = asked.top.part("llm_config").number("intermediate_size")
    return (between, NVLM_SHUFFLED * asked.width), (asked.hidden, between)


def _two_after(asked: Between, ratio: float) -> Sizes:
    """Two matrices behind patches that are put side by side by the inverse of a ratio of the model."""
    shuffled = round(1 / float(asked.top.get("downsample_ratio", ratio)))
    return (asked.hidden, asked.width * shuffled * shuffled), (asked.hidden, asked.hidden)


def _step_3(asked: Between) -> Sizes:
    out = asked.config.number("output_hidden_size", asked.hidden)
    return (out, 4 * asked.width), (2 * out, 9 * out), (asked.hidden, 2 * out)


def _step_3p7(asked: Between) -> Sizes:
    width = asked.width
    return (2 * width, 9 * width), (4 * width, 9 * 2 * width), (asked.hidden, 4 * width)


def _ernie(asked: Between) -> Sizes:
    width = asked.width * asked.top.number("spatial_conv_size", 2) ** 2
    pairs = asked.top.number("temporal_conv_size", 2) * width
    frames = ((width, pairs), (width, width)) if asked.top.get("use_temporal_conv") else ()
    return (width, width), (width, width), *frames, (asked.hidden, width)


def _none(_: Between) -> Sizes:
    return ()


def _plain(asked: Between) -> Sizes:
    return ((asked.squared, asked.hidden),)


_VISION: Rules = (
    (_encoder("glm4v", "glm_ocr"), _glm),
    (_encoder("glm5_next"), _glm_next),
    (_merging("qwen", "exaone4_5", "paddleocr", "Keye", "dots_ocr"), _qwen),
    (_model("chatglm"), _eva),
    (_model("isaac"), _isaac),
    (_models("phi4-siglip", "rvl", "R"), _phi_siglip),
    (_model("bee"), _bee),
    (_model("mistral3"), _mistral),
    (_models("cohere2_vision", "aya_vision"), _cohere),
    (_model("lfm2_vl"), _lfm),
    (_models("idefics3", "smolvlm"), _idefics),
    (_models("minicpmv4"), _minicpm),
    (_model("ernie4_5_moe_vl"), _ernie),
    (_model("step3_vl"), _step_3),
    (_models("step3p7", "step_robotics"), _step_3p7),
    (_model("blip-2"), _none),
    (_models("llava"), _llava),
    (_models("internvl", "h2ovl", "skywork_chat", "eagle_2_5"), _internvl),
    (_model("NVLM_D"), _nvlm),
    (_others, _plain),
)


def _qwen_audio(asked: Between) -> Sizes:
    between = asked.config.number("downsample_hidden_size", 480)
    shrunk = -(-asked.config.number("num_mel_bins", 128) // 8)
    width = asked.width
    return (width, between * shrunk), (2 * between, 9 * between), (width, width), _plain_audio(asked)[0]


def _projected(asked: Between) -> Sizes:
    out = asked.config.number("output_proj_dims")
    return (out, asked.width), (asked.hidden, out), (asked.width, asked.width)


def _voxtral(asked: Between) -> Sizes:
    return (asked.hidden, asked.inner), (asked.hidden, asked.hidden)


def _glm_audio(asked: Between) -> Sizes:
    return (2 * asked.hidden, asked.inner), (asked.hidden, 2 * asked.hidden)


def _ultravox(asked: Between) -> Sizes:
    """Frames side by side, through an MLP or through layers like the encoder's (`ultravox.py`)."""
    top, width = asked.top, asked.width
    stacked, inner = top.number("stack_factor", 8) * width, top.number("hidden_size", 4096)
    if layers := top.number("num_projector_layers", 0):
        rows = 4 * width + 2 * asked.inner
        places = asked.config.number("max_source_positions", 1500)
        return (width, stacked), (places, width), *((rows, width),) * layers, (asked.hidden, width)
    return (inner, stacked), (asked.hidden, inner // 2 if top.get("projector_act", "swiglu") == "swiglu" else inner)


def _plain_audio(asked: Between) -> Sizes:
    return ((asked.config.number("output_dim", asked.hidden), asked.width),)


_AUDIO: Rules = (
    (_encoder("qwen3"), _qwen_audio),
    (lambda asked: bool(asked.config.get("output_proj_dims")), _projected),
    (_encoder("voxtral"), _voxtral),
    (_encoder("glmasr"), _glm_audio),
    (_model("ultravox"), _ultravox),
    (_others, _plain_audio),
)
