"""`--limit-mm-per-prompt`: how many images, videos and clips a prompt may have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.errors import InputError, Problem
from simulator.memory.profile import MOST_ITEMS
from simulator.memory.shape import ModelShape, without_encoders

PATH = "limit_mm_per_prompt"
KINDS = ("image", "video", "audio", "vision_chunk")
"""Kinds of items (`multimodal/inputs.py`, vLLM 0.33.0)."""
OF_VIDEO = (
    *("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3_vl", "qwen3_omni", "qwen3_5", "glm4v", "glm_ocr", "gemma4"),
    *("internvl", "interns1", "llava_onevision", "Keye", "ernie4_5_moe_vl", "exaone4_5", "minicpmv", "muse_glimmer"),
    *("cosmos3_edge", "phi4mm", "mimo_v2_omni", "molmo2", "ovis2_5"),
)
"""Beginnings of types whose encoder of images is also that of videos (`_mark_tower_model`, vLLM 0.33.0)."""


def item_limits(text: str | None) -> dict[str, int] | None:
    """Limits as vLLM's option has them: `{"image": 2, "video": 0}`, also with a `count` each, or `image=2,video=0`.

    Raises
    ------
    InputError : neither, or a kind of item that is not known
    """
    if text is None:
        return None
    try:
        told = json.loads(text) if text.lstrip().startswith("{") else _pairs(text)
        found = {str(kind): _count(value) for kind, value in told.items()}
    except (ValueError, TypeError, AttributeError, KeyError):
        wrong = 'must be counts by kind, as {"image": 2, "video": 0} or image=2,video=0'
        raise InputError(Problem(wrong, path=PATH, got=text[:60])) from None
    if unknown := sorted(found.keys() - set(KINDS)):
        known = f"unknown kind of item; known are {', '.join(KINDS)}"
        raise InputError(Problem(known, path=PATH, got=unknown[0][:60]))
    return found


def _pairs(text: str) -> dict[str, str]:
    return dict(part.strip().split("=", 1) for part in text.split(","))  # type: ignore[misc]


def _count(value: Any) -> int:
    if isinstance(value, Mapping):
        value = value["count"]
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
        raise ValueError(value)
    return int(value)


def within_limits(
    shape: ModelShape, model_type: str, limits: Mapping[str, int] | None, text_alone: bool
) -> tuple[ModelShape, int]:
    """A model with the encoders that its prompts need, and the items of a prompt at most.

    Encoders none of whose kinds of items may come are neither loaded nor profiled.
    """
    if text_alone:
        return without_encoders(shape), 0
    if limits is None:
        return shape, MOST_ITEMS
    seen = ("image", "video") if model_type.startswith(OF_VIDEO) else ("image",)
    seen = ("vision_chunk",) if "vision_chunk" in limits else seen
    most_seen = max(limits.get(kind, MOST_ITEMS) for kind in seen)
    most_heard = limits.get("audio", MOST_ITEMS)
    if limits.get("video", MOST_ITEMS) == 0:
        shape = replace(shape, towers=tuple(replace(tower, spelled_tokens=0) for tower in shape.towers))
    left = without_encoders(shape, seeing=most_seen == 0, hearing=most_heard == 0)
    return left, max(most_heard if tower.hears else most_seen for tower in left.towers) if left.towers else 0
