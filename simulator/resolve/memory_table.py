"""Many questions about memory from a CSV file, each with its own answer or error."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem
from simulator.resolve.memory import Answer, answer
from simulator.resolve.memory_question import Question
from simulator.results.inputs import input_file
from simulator.units import BYTES_PER_GIB

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its id, and an answer or what is wrong with it."""

    id: str
    answer: Answer | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """The row as `servecast memory --table` prints it; figures that are not known are null."""
        if self.answer is None:
            unknown = dict.fromkeys(("fits", "num_blocks", "kv_tokens", "kv_gib", "weights_gib"))
            return {"id": self.id, **unknown, "error": self.error}
        plan = self.answer.plan
        return {
            "id": self.id,
            "fits": plan.fits,
            "num_blocks": plan.num_blocks,
            "kv_tokens": plan.kv_tokens,
            "kv_gib": round(plan.terms.kv_bytes / BYTES_PER_GIB, 4),
            "weights_gib": round(plan.terms.weight_bytes / BYTES_PER_GIB, 4),
            "error": "; ".join(plan.refusals) or None,
        }


def read_rows(file: Path) -> list[Row]:
    """Answers to all rows of a CSV file.

    Raises
    ------
    InputError : no such file, an unknown column, or none for model and GPU
    """
    try:
        with input_file(file).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(names, file)
            rows = [{(key or "").strip(): (value or "").strip() for key, value in row.items()} for row in reader]
    except OSError as error:
        raise InputError(Problem(f"cannot read the table: {error.strerror}", file=str(file))) from error
    except (UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise InputError(Problem(f"not a CSV table: {error}", file=str(file))) from error
    return [_row(values, number, file) for number, values in enumerate(rows, start=2)]


def _check_columns(names: list[str], file: Path) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    lacking = [name for name in ("model", "gpu") if name not in names]
    if unknown:
        message = f"unknown columns {', '.join(unknown)}; known are {', '.join(COLUMNS)}"
        raise InputError(Problem(message, file=str(file), line=1))
    if lacking:
        raise InputError(Problem(f"the table lacks the columns {', '.join(lacking)}", file=str(file), line=1))


def _row(values: Mapping[str, str], number: int, file: Path) -> Row:
    name = values.get("id") or str(number - 1)
    try:
        return Row(name, answer(_question(values, number, file)), None)
    except InputError as error:
        return Row(name, None, "; ".join(str(problem) for problem in error.problems))


def _question(values: Mapping[str, str], number: int, file: Path) -> Question:
    asked: dict[str, Any] = {"model": "", "gpu": ""}
    for column, (convert, kind) in _READERS.items():
        text = values.get(column)
        if text:
            try:
                asked[column] = convert(text)
            except ValueError:
                problem = Problem(f"must be {kind}", file=str(file), line=number, path=column, got=text)
                raise InputError(problem) from None
    return Question(**asked, folder=file.parent)


def _count(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    value = float(text)
    if not value.is_integer() or value < 0:
        raise ValueError(text)
    return int(value)


def _switch(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)


_NAME, _COUNT, _SWITCH = (str, "a name"), (_count, "a whole number of at least 1"), (_switch, "true or false")
_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "model": _NAME,
    "gpu": _NAME,
    "tp": _COUNT,
    "pp": _COUNT,
    "dp": _COUNT,
    "expert_parallel": _SWITCH,
    "dtype": _NAME,
    "kv_dtype": _NAME,
    "gpu_memory_utilization": (float, "a share in (0, 1]"),
    "max_model_len": _COUNT,
    "max_num_batched_tokens": _COUNT,
    "max_num_seqs": _COUNT,
    "version": _NAME,
    "enforce_eager": _SWITCH,
    "max_cudagraph_capture_size": _COUNT,
    "block_size": _COUNT,
    "enable_prefix_caching": _SWITCH,
    "disable_hybrid_kv_cache_manager": _SWITCH,
    "redundant_experts": (_whole, "a whole number"),
    "speculative_method": _NAME,
    "num_speculative_tokens": (_whole, "a whole number"),
    "draft_model": _NAME,
    "flashinfer": _SWITCH,
    "expandable_segments": _SWITCH,
    "language_model_only": _SWITCH,
    "limit_mm_per_prompt": _NAME,
    "kv_cache_memory_bytes": _COUNT,
    "enable_lora": _SWITCH,
    "max_loras": _COUNT,
    "max_lora_rank": _COUNT,
}
COLUMNS = ("id", *_READERS)
