"""Names of modules in a checkpoint's lists - what stays in 16 bit, what has which format - held against matrices."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

_PREFIXES = ("", "model.", "language_model.", "language_model.model.", "model.language_model.")
_OTHER_PREFIXES = ("backbone.", "language_model.backbone.")
_ALSO = {
    "self_attn": ("mixer", "attention", "attn"),
    "mamba": ("mixer",),
    "mlp": ("mixer", "feed_forward", "block_sparse_moe", "moe"),
    "shared_expert": ("shared_experts",),
    "gate_proj": ("gate_up_proj", "w1"),
    "up_proj": ("gate_up_proj", "w3"),
    "down_proj": ("w2",),
    "q_proj": ("qkv_proj",),
    "k_proj": ("qkv_proj",),
    "v_proj": ("qkv_proj",),
    "in_proj_qkv": ("in_proj_qkvz",),
    "in_proj_z": ("in_proj_qkvz",),
}
"""Parts of names that checkpoints call otherwise, matrices that they join included."""
_LAYER = re.compile(r"layers\.(\d+)(?=\.|$)")
_NUMBERED_EXPERT = re.compile(r"\.experts\.\d+(?=\.|$)")


class Spellings:
    """How a checkpoint may call a matrix: of all spellings those whose parts its list uses."""

    def __init__(self, listed: Iterable[str]) -> None:
        text = "\n".join(listed)
        self._also = {
            part: (part, *(other for other in others if re.search(rf"\b{other}\b", text)))
            for part, others in _ALSO.items()
        }
        self._prefixes = _PREFIXES + tuple(prefix for prefix in _OTHER_PREFIXES if prefix in text)

    def of(self, name: str) -> Iterator[str]:
        """Each of them for a matrix, as `model.layers.0.mlp.up_proj`."""
        parts = name.removeprefix("model.").split(".")
        for spelled in itertools.product(*(self._also.get(part, (part,)) for part in parts)):
            bare = ".".join(spelled)
            for prefix in self._prefixes:
                yield prefix + bare


class Ignored:
    """Modules that a checkpoint leaves in 16 bit: names, parts of names, wildcards, or `re:` expressions."""

    def __init__(self, patterns: list[str]) -> None:
        patterns = [_one_for_all_experts(pattern) for pattern in patterns]
        plain = {pattern.removesuffix(".weight") for pattern in patterns if not pattern.startswith("re:")}
        wild = {pattern for pattern in plain if "*" in pattern or "?" in pattern}
        self._names = plain - wild
        of_layers: dict[str, list[str]] = {}
        for pattern in sorted(wild):
            of_layers.setdefault(_layer_of(pattern), []).append(fnmatch.translate(pattern))
        self._wild = {layer: re.compile("|".join(found)) for layer, found in of_layers.items()}
        self._expressions = [
            re.compile(pattern[3:]) for pattern in dict.fromkeys(patterns) if pattern.startswith("re:")
        ]
        self._spellings = Spellings(patterns)
        self._found: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        if name not in self._found:
            self._found[name] = any(self._has(each) for each in self._spellings.of(name))
        return self._found[name]

    def _has(self, name: str) -> bool:
        parts = name.split(".")
        for start, end in itertools.combinations(range(len(parts) + 1), 2):
            run = ".".join(parts[start:end])
            if run in self._names and (start == 0 or "layers." not in run):
                return True
        if any(expression.match(name) for expression in self._expressions):
            return True
        wild = (self._wild[layer] for layer in {"", _layer_of(name)} if layer in self._wild)
        return any(pattern.match(name) or pattern.match(f"{name}.") for pattern in wild)


class Listed:
    """Formats by module: of a matrix that of its own name, or of the module that it stands in."""

    def __init__(self, formats: Mapping[str, str]) -> None:
        self._formats = {_one_for_all_experts(name): found for name, found in formats.items()}
        self._spellings = Spellings(self._formats)

    def get(self, name: str) -> str | None:
        """Format of a matrix; None where no list names it."""
        for each in self._spellings.of(name):
            while each:
                if each in self._formats:
                    return self._formats[each]
                each = each.rpartition(".")[0]
        return None


def _layer_of(name: str) -> str:
    """Number of the layer that a name or a pattern is of; empty where it may be of any."""
    found = _LAYER.search(name)
    return found[1] if found else ""


def _one_for_all_experts(name: str) -> str:
    """A name of one expert's matrix for those of all: checkpoints list them one by one."""
    return _NUMBERED_EXPERT.sub(".experts", name)
