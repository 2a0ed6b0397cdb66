"""What a profile leaves on disk: points as they come, and the finished `steps.parquet` and `meta.json`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calibrate.fit.profile_file import write_json
from calibrate.recording.bundle import META, STEPS
from simulator.errors import InputError, Problem
from simulator.results.files import write_bytes

POINTS = "points.jsonl"
FORMAT = "vllm-profile/1"


class PointStore:
    """Points measured so far, one JSON line each; a run that was cut short goes on from them.

    Raises
    ------
    InputError : the folder holds a profile of something else
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / POINTS
        self.records: list[dict[str, Any]] = []
        if self._path.exists():
            self.records = _whole_lines(self._path)
        if self.records and self.records[0].get("identity") != identity:
            raise InputError(
                Problem(
                    "holds a profile of another engine or another design; choose another folder",
                    file=str(folder),
                    path="--out",
                    got=_difference(self.records[0].get("identity") or {}, identity),
                )
            )
        if not self.records:
            self.append({"identity": dict(identity)})

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one record for good."""
        self.records.append(dict(record))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def find(self, key: str) -> dict[str, Any] | None:
        """The last record that has `key`."""
        return next((record for record in reversed(self.records) if key in record), None)

    @property
    def measured(self) -> list[dict[str, Any]]:
        return [record for record in self.records if "rows" in record]

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [record for record in self.records if "failure" in record]

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Write the Parquet file and then the description that makes the bundle readable."""
        write_steps(self.measured, self.folder / STEPS)
        write_json({"format": FORMAT, **meta}, self.folder / META)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a file whose last line may be cut off; what is cut off is removed."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in new if old.get(name) != new[name]]
    return ", ".join(f"{name} {new[name]!r}, there {old.get(name)!r}" for name in names)


def write_steps(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One row per step and request, steps in the order in which they ran; gaps that were not measured are NaN."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("step", pa.int64()),
            ("point", pa.string()),
            ("tag", pa.string()),
            ("repeat", pa.int32()),
            ("dur_s", pa.float64()),
            ("gap_s", pa.float64()),
            ("tokens", pa.int32()),
            ("computed_before", pa.int32()),
            ("free_blocks", pa.int32()),
            ("preemptions", pa.int32()),
        ]
    )
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    step = 0
    for point in points:
        for row in point["rows"]:
            for tokens, before in row["batch"]:
                entry = {**row, "step": step, "point": point["point"], "repeat": point["repeat"]}
                entry |= {"tokens": tokens, "computed_before": before}
                entry["gap_s"] = float("nan") if row["gap_s"] is None else row["gap_s"]
                for name, column in columns.items():
                    column.append(entry[name])
            step += 1
    content = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), content, compression="zstd")
    write_bytes(path, content.getvalue())
