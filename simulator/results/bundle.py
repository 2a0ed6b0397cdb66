"""A run bundle: one folder with everything a run found, written whole or not at all.

Files are written to a hidden folder beside the target, which takes its name at the end. Equal results give equal bytes
in every file but `timing.json`.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError, Problem
from simulator.results.frames import FRAMES
from simulator.results.inputs import input_json
from simulator.results.scratch import is_alive
from simulator.results.seal import MANIFEST, check_manifest, checked_file, sealed

if TYPE_CHECKING:
    import pandas as pd

BUNDLE_VERSION = 8
_UNFINISHED = re.compile(r"\..+\.(\d+)")
_HERE, _EXCHANGE = -100, 2
"""Of Linux' renameat2: AT_FDCWD and RENAME_EXCHANGE."""


def bundle_name(scenario: str, content: bytes) -> str:
    """Folder name for a scenario and the bytes that determine its results."""
    return f"{scenario}-{hashlib.sha256(content).hexdigest()[:8]}"


def unfinished(path: Path) -> Path:
    """The hidden folder beside a bundle for what this process has begun and not ended with it."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def clear_unfinished(folder: Path) -> None:
    """Remove what processes that were killed had begun to write, or to remove, beside the bundles of a folder."""
    for place in folder.glob(".*.*"):
        owner = _UNFINISHED.fullmatch(place.name)
        if owner and place.is_dir() and not place.is_symlink() and not is_alive(int(owner[1])):
            shutil.rmtree(place, ignore_errors=True)


class BundleWriter:
    """Context manager that fills a bundle.

    On leaving without an error the bundle stands under `path`, replacing an older one of that name, and what an earlier
    interruption left of it. On an error or Ctrl-C what was written is kept as `<path>.partial`, with
    `"status": "partial"` in its manifest.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self._manifest = dict(manifest)
        self._folder = unfinished(path)
        self._parquet: dict[str, Any] = {}
        self._empty: dict[str, Any] = {}

    def __enter__(self) -> BundleWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            clear_unfinished(self.path.parent)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
        except OSError as error:
            raise self._refused(error) from error
        return self

    def text(self, name: str, text: str) -> None:
        """Write one text file."""
        try:
            (self._folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise self._refused(error) from error

    def copy(self, name: str, source: Path) -> None:
        """Copy a file, `name` may lead into a folder."""
        target = self._folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise self._refused(error) from error

    def json(self, name: str, data: Any) -> None:
        """Write one JSON file, keys sorted; NaN and infinity become null."""
        self.text(name, json.dumps(finite(data), indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    def append(self, name: str, frame: Any) -> None:
        """Append a pandas DataFrame to the Parquet file `name`.

        The first frame with rows decides the columns' types: those of a frame without rows cannot be known.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
            if not len(frame):
                self._empty[name] = table
                return
            if name not in self._parquet:
                # figures of requests hardly repeat: a dictionary of them takes longer to write and is larger
                words = [each.name for each in table.schema if str(each.type).endswith("string")]
                self._parquet[name] = pq.ParquetWriter(
                    self._folder / name, table.schema, compression="zstd", use_dictionary=words
                )
            self._parquet[name].write_table(table.cast(self._parquet[name].schema))
        except OSError as error:
            raise self._refused(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close_tables()
            status = "complete" if error is None else "partial"
            manifest = finite({**self._manifest, "bundle_version": BUNDLE_VERSION, "status": status})
            self.json(MANIFEST, sealed(manifest, self._folder))
            partial = self.path.with_name(f"{self.path.name}.partial")
            self._publish(self.path if error is None else partial)
            if error is None and not partial.is_symlink():
                shutil.rmtree(partial, ignore_errors=True)
        except (OSError, InputError) as failure:
            shutil.rmtree(self._folder, ignore_errors=True)
            if error is None:
                raise (self._refused(failure) if isinstance(failure, OSError) else failure) from failure

    def _close_tables(self) -> None:
        import pyarrow.parquet as pq

        for writer in self._parquet.values():
            writer.close()
        for name in self._empty.keys() - self._parquet.keys():
            pq.write_table(self._empty[name], self._folder / name, compression="zstd")

    def _publish(self, target: Path) -> None:
        for file in self._folder.rglob("*"):
            _sync(file)
        _sync(self._folder)
        if target.is_dir() and not target.is_symlink() and _exchange(self._folder, target):
            shutil.rmtree(self._folder, ignore_errors=True)
            _sync(target.parent)
            return
        older = target.with_name(f".{target.name}.old")
        shutil.rmtree(older, ignore_errors=True)
        if target.exists():
            target.rename(older)
        try:
            self._folder.rename(target)
        except OSError:
            if older.exists():
                older.rename(target)
            raise
        shutil.rmtree(older, ignore_errors=True)
        _sync(target.parent)

    def _refused(self, error: OSError) -> InputError:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        return InputError(Problem(f"cannot write results: {reason}; choose another place with --out", str(self.path)))


def _exchange(one: Path, other: Path) -> bool:
    """Give two folders each other's name at once, where the system can, so that at no time there is none of a name."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    done: int = rename(_HERE, os.fsencode(one.absolute()), _HERE, os.fsencode(other.absolute()), _EXCHANGE)
    return done == 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def finite(node: Any) -> Any:
    """The same tree with NaN and infinity as None: JSON has neither."""
    if isinstance(node, dict):
        return {str(key): finite(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [finite(value) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        return None
    return node


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read: its folder, manifest and summary; tables are read on demand."""

    path: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]

    @property
    def decision(self) -> dict[str, Any]:
        """Months, break-even, why the losers lose, flips.

        Raises
        ------
        InputError : the bundle has none, or it is broken
        """
        return _object(self.file("decision.json"))

    def file(self, name: str) -> Path:
        """One file of the bundle, as it was written.

        Raises
        ------
        InputError : it is missing, no regular file, or altered
        """
        return checked_file(self.manifest, self.path, name)

    @property
    def scenario_file(self) -> Path:
        """The resolved scenario, with the copies of the files that it names.

        Raises
        ------
        InputError : as `file`
        """
        for name in self.manifest["sha256"]:
            if "/" in name:
                self.file(name)
        return self.file("scenario.resolved.yaml")

    @property
    def figures(self) -> dict[str, Any]:
        """Prices and cost figures behind the bill of each topology, with their sources.

        Raises
        ------
        InputError : the bundle has none, or it is broken
        """
        return _object(self.file("figures.json"))

    @property
    def tables(self) -> tuple[str, ...]:
        """Names that `table` knows."""
        files = (name.removesuffix(".parquet") for name in self.manifest["sha256"] if name.endswith(".parquet"))
        return (*FRAMES, *sorted(files))

    def table(self, name: str) -> pd.DataFrame:
        """One table: `topologies`, `pools`, `months` and others of `FRAMES`, or a Parquet file by its name.

        Raises
        ------
        InputError : the bundle has no such table, or it is broken
        """
        import pandas as pd
        import pyarrow as pa

        if name in FRAMES:
            return pd.DataFrame([*FRAMES[name](self.summary, self.decision)])
        if not (self.path / f"{name}.parquet").exists():
            known = f"has no table {name!r}, only {', '.join(self.tables)}; or run its scenario again"
            raise InputError(Problem(known, str(self.path)))
        file = self.file(f"{name}.parquet")
        try:
            return pd.read_parquet(file)
        except (OSError, pa.ArrowException) as error:
            raise InputError(Problem("cannot be read as Parquet; run the scenario again", str(file))) from error

    def _repr_html_(self) -> str:
        """The verdict, and where the run lies, for notebooks."""
        return f"<p>{escape(str(self.summary['verdict']))}</p><p><code>{escape(str(self.path))}</code></p>"


def read_bundle(path: str | Path) -> Bundle:
    """Open a run bundle.

    Raises
    ------
    InputError : not a run bundle, broken, partial without a summary, or written by another version
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if manifest.get("kind") == "sweep":
        raise InputError(Problem("is the result of a sweep, not of a run: its table is sweep.parquet", str(folder)))
    if manifest.get("kind") == "shard":
        raise InputError(Problem("is a shard of a sweep, not a run: `servecast merge` takes all of them", str(folder)))
    if manifest["status"] == "partial" and "summary.json" not in manifest["sha256"]:
        raise InputError(Problem("holds what an interrupted run left, without a summary; run it again", str(folder)))
    summary = _object(checked_file(manifest, folder, "summary.json"))
    topologies, order = summary.get("topologies"), summary.get("order")
    if not isinstance(topologies, dict) or not topologies or not isinstance(order, list) or {*order} != {*topologies}:
        raise InputError(Problem("broken: holds no topologies; run its scenario again", str(folder / "summary.json")))
    return Bundle(folder, manifest, summary)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, as it was written.

    Raises
    ------
    InputError : not a bundle, broken or altered, or written by another version
    """
    if not folder.is_dir():
        raise InputError(Problem("is not a run bundle: no such folder", str(folder)))
    try:
        manifest = _object(folder / MANIFEST)
    except InputError as error:
        found = error.problems[0]
        raise InputError(replace(found, message=f"is not a run bundle, or broken: {found.message}")) from error
    version = manifest.get("bundle_version")
    if version != BUNDLE_VERSION:
        text = f"has bundle version {str(version)[:20]}, this servecast reads {BUNDLE_VERSION}: run its scenario again"
        raise InputError(Problem(text, str(folder)))
    check_manifest(manifest, folder)
    return manifest


def _object(file: Path) -> dict[str, Any]:
    data = input_json(file)
    if not isinstance(data, dict):
        raise InputError(Problem("broken: not a JSON object", str(file)))
    return data
