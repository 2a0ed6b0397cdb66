"""A tokenizer for models that come without one: every token is a word of its own.

A server needs one to turn output into text; with dummy weights any will do, as long as a token stays one token.
"""

from __future__ import annotations

import json
from pathlib import Path

_SPECIAL = ("<unk>", "<s>", "</s>")


def has_tokenizer(model: str) -> bool:
    """False for a model folder without one; a model named by the hub has one."""
    folder = Path(model)
    return not folder.is_dir() or any(
        (folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
    )


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """Files of the Hugging Face format for a word-level tokenizer of `vocabulary` tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [*_SPECIAL, *(f"t{k}" for k in range(len(_SPECIAL), vocabulary))]
    special = [
        {
            "id": k,
            "content": word,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for k, word in enumerate(_SPECIAL)
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: k for k, word in enumerate(words)}, "unk_token": "<unk>"},
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
