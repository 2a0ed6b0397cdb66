"""Small files that would be large once they are unpacked are refused, or read within the memory of a piece."""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard.checks import compose
from simulator.errors import InputError
from simulator.workload.pieces import LONGEST_LINE, MOST_COLUMNS, _frame, read_pieces, read_table

HEAD = "arrival_s,input_tokens,output_tokens\n"


def told(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_table(file)
    (problem,) = caught.value.problems
    return f"{problem.line}: {problem.message}"


def _csv(file: Path, columns: int) -> None:
    file.write_text(",".join(f"c{k}" for k in range(columns)) + "\n" + ",".join("1" * columns) + "\n")


def _json(file: Path, columns: int) -> None:
    file.write_text("".join(f'{{"c{k}": 1}}\n' for k in range(columns)))


def _parquet(file: Path, columns: int) -> None:
    pq.write_table(pa.table({f"c{k}": [1] for k in range(columns)}), file)


@pytest.mark.parametrize(
    ("write", "name", "line"), [(_csv, "a.csv", 1), (_json, "a.jsonl", MOST_COLUMNS + 1), (_parquet, "a.parquet", None)]
)
def test_no_log_has_more_than_a_thousand_columns(
    tmp_path: Path, write: Callable[[Path, int], None], name: str, line: int | None
) -> None:
    """Rows of one key each, all different, would be a table of rows by rows."""
    write(tmp_path / name, MOST_COLUMNS)
    assert len(read_table(tmp_path / name).frame.columns) == MOST_COLUMNS
    write(tmp_path / name, MOST_COLUMNS + 1)
    assert told(tmp_path / name).startswith(f"{line}: has more than 1,000 columns")


@pytest.mark.parametrize(
    ("name", "before", "line"),
    [("a.csv", "", 1), ("a.csv", f"{HEAD}0,1,1\n", None), ("a.jsonl", '{"arrival_s": 0}\n', 2), ("a.jsonl", "", 1)],
)
@pytest.mark.parametrize("packing", ["", ".bz2"])
def test_a_line_without_an_end_is_not_read_to_it(
    tmp_path: Path, name: str, before: str, line: int | None, packing: str
) -> None:
    content = before.encode() + b"\0" * 4 * LONGEST_LINE
    (tmp_path / f"{name}{packing}").write_bytes(bz2.compress(content) if packing else content)
    assert told(tmp_path / f"{name}{packing}").startswith(f"{line}: a line of more than 4,194,304 letters")


def test_lines_of_many_letters_are_read(tmp_path: Path) -> None:
    ids = json.dumps([*range(100_000)])
    (tmp_path / "a.jsonl").write_text(f'{{"hash_ids": {ids}}}\n' * 3)
    assert len(read_table(tmp_path / "a.jsonl").line) == 3
    (tmp_path / "a.csv").write_text(HEAD + "".join(f'{k},1,"{"x" * 10**6}"\n' for k in range(8)))
    assert read_table(tmp_path / "a.csv").frame["output_tokens"].str.len().tolist() == [10**6] * 8


def test_a_number_of_too_many_digits_is_told_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"arrival_s": 0}}\n{{"arrival_s": {"9" * 5_000}}}\n')
    assert told(tmp_path / "a.jsonl") == "2: is not a JSON object"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.large_binary()])
def test_a_text_that_comes_again_in_parquet_is_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType
) -> None:
    """100,000 rows of a prompt of 1 MB are 280 kB on disk, and were 100 GB in memory; pandas writes large strings."""
    prompts = pa.array(["a" * 10_000, None] * 500, kind)
    pq.write_table(pa.table({"arrival_s": np.arange(1_000), "prompt": prompts}), tmp_path / "a.parquet")
    batches: list[int] = []
    monkeypatch.setattr("simulator.workload.pieces._frame", lambda batch: batches.append(batch.nbytes) or _frame(batch))
    found = read_table(tmp_path / "a.parquet").frame["prompt"]
    assert sum(batches) < 1_000_000
    first = found.iloc[0]
    assert first == (b"a" if kind == pa.large_binary() else "a") * 10_000
    assert all(text is first for text in found.iloc[::2])
    assert pd.isna(found.iloc[1::2]).all()


_TALK = {"said": [{"role": "user", "text": "a" * 10_000}]}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.struct({"said": pa.list_(pa.struct({"role": pa.string(), "text": pa.string()}))}), _TALK),
        (pa.list_(pa.large_string()), ["a" * 10_000]),
        (pa.map_(pa.string(), pa.string()), [("text", "a" * 10_000)]),
    ],
)
def test_texts_within_objects_are_unpacked_by_as_many_rows_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType, value: Any
) -> None:
    """100,000 rows of twice 18 kB are 600 kB on disk, and were 1.9 GB in memory where each row has its own copy."""
    values = pa.array([value, None] * 500, kind)
    pq.write_table(pa.table({"arrival_s": np.arange(1_000), "talk": values}), tmp_path / "a.parquet")
    (whole,) = read_pieces(tmp_path / "a.parquet")
    monkeypatch.setattr("simulator.workload.pieces._PIECE_BYTES", 1_000_000)
    pieces = list(read_pieces(tmp_path / "a.parquet"))
    assert max(len(piece.line) for piece in pieces) <= 200
    assert [line for piece in pieces for line in piece.line] == [*range(1, 1_001)]
    kept = [str(talk) for piece in pieces for talk in piece.frame["talk"]]
    assert kept == [str(talk) for talk in whole.frame["talk"]]
    assert "aaa" in kept[0]
    monkeypatch.setattr("simulator.workload.pieces._PIECE_BYTES", 5_000)
    assert told(tmp_path / "a.parquet").startswith("1: a row of more than 0 MiB")


@pytest.mark.parametrize("columns", [1, 50])
def test_numbers_that_come_again_in_parquet_are_unpacked_by_as_many_rows_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """100,000 rows of 5,000 hashes that are one are 600 kB on disk, and were 9 GB and more in memory."""
    monkeypatch.setattr("simulator.workload.pieces._PIECE_BYTES", 1_000_000)
    ids = {f"ids{k}": pa.array([[7] * (500 // columns)] * 1_000) for k in range(columns)}
    pq.write_table(pa.table(ids | {"arrival_s": np.arange(1_000)}), tmp_path / "a.parquet")
    pieces = list(read_pieces(tmp_path / "a.parquet"))
    assert max(len(piece.line) for piece in pieces) * 500 * 8 <= 1_000_000
    assert [line for piece in pieces for line in piece.line] == [*range(1, 1_001)]


def test_what_parquet_cannot_unpack_is_told_by_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyarrow says of objects whose texts are 6 GB in a piece: 400 kB on disk."""

    def refuse(*_: object) -> None:
        raise pa.ArrowNotImplementedError("Nested data conversions not implemented for chunked array outputs")

    pq.write_table(pa.table({"arrival_s": [0.0]}), tmp_path / "a.parquet")
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", refuse)
    assert told(tmp_path / "a.parquet").startswith("None: holds what cannot be unpacked: Nested data")


def test_a_file_that_takes_too_long_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def ask(self, *_: object) -> None:
            return None

    monkeypatch.setattr("dashboard.processes.pool", lambda *_: Slow())
    (problem,) = compose({"trace": "log.csv"}, {"log.csv": b""}).problems
    assert problem.file == "log.csv"
    assert "takes more than" in problem.message
