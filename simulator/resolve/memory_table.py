"""Many questions about memory from a CSV file, each with its own answer or error."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, Problem
from simulator.resolve.memory import Answer, Question, answer
from simulator.units import BYTES_PER_GIB

COLUMNS = (
    "id",
    "model",
    "gpu",
    "tp",
    "pp",
    "dp",
    "expert_parallel",
    "dtype",
    "kv_dtype",
    "gpu_memory_utilization",
    "max_model_len",
    "max_num_batched_tokens",
    "max_num_seqs",
    "version",
)
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
        with file.open(encoding="utf-8-sig", newline="") as stream:
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
    def read(column: str, convert: Callable[[str], Any], kind: str, default: Any = None) -> Any:
        text = values.get(column, "")
        if not text:
            return default
        try:
            return convert(text)
        except ValueError:
            place = {"file": str(file), "line": number, "path": column}
            raise InputError(Problem(f"must be {kind}", got=text, **place)) from None  # type: ignore[arg-type]

    whole = "a whole number of at least 1"
    return Question(
        model=read("model", _text, "a name") or "",
        gpu=read("gpu", _text, "a name") or "",
        tp=read("tp", _count, whole, 1),
        pp=read("pp", _count, whole, 1),
        dp=read("dp", _count, whole, 1),
        expert_parallel=read("expert_parallel", _switch, "true or false", False),
        dtype=read("dtype", _text, "a name", "auto"),
        kv_dtype=read("kv_dtype", _text, "a name", "auto"),
        gpu_memory_utilization=read("gpu_memory_utilization", float, "a share in (0, 1]"),
        max_model_len=read("max_model_len", _count, whole),
        max_num_batched_tokens=read("max_num_batched_tokens", _count, whole),
        max_num_seqs=read("max_num_seqs", _count, whole),
        version=read("version", _text, "a version"),
        folder=file.parent,
    )


def _text(text: str) -> str:
    return text


def _count(text: str) -> int:
    value = float(text)
    if value != int(value) or value < 1:
        raise ValueError(text)
    return int(value)


def _switch(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)
