"""Requests of the trials of a search, so that the rows of the size it finds need no second simulation."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from simulator.simulate.one import Keep, Records
from simulator.study.demand import Period

LIMIT_BYTES = 1 << 30
_SUFFIX = ".rows"
_SEARCHES = itertools.count()


@dataclass(frozen=True, slots=True)
class Rows:
    """Records by the key of their outcome, a scratch file each; processes may share a folder.

    What does not fit, or cannot be written, is not kept: whoever asks for it simulates it again.

    Attributes
    ----------
    period : whose requests are kept
    limit_bytes : of the folder
    owner : a search, which drops its own alone
    """

    folder: Path
    period: Period
    limit_bytes: int = LIMIT_BYTES
    owner: str = "run"

    def owned(self) -> Rows:
        """The same for one search."""
        return replace(self, owner=f"{os.getpid()}-{next(_SEARCHES)}")

    @contextlib.contextmanager
    def taking(self, key: str) -> Iterator[Keep]:
        """What a trial calls with its records; they are kept if it ends without an error."""
        scratch = self.folder / f".{key}.{self.owner}.{os.getpid()}"
        taker = _Taker(scratch, self.limit_bytes - self._bytes())
        try:
            yield taker.keep
            taker.publish(self._file(key))
        finally:
            taker.close()

    def of(self, key: str) -> Iterator[Records] | None:
        """The records as the trial gave them, block by block; None where they were not kept."""
        for file in self._files(key):
            with contextlib.suppress(OSError):
                return _blocks(file.open("rb"))
        return None

    def has(self, key: str) -> bool:
        """Whether they were kept."""
        return bool(self._files(key))

    def drop(self, keys: Collection[str]) -> None:
        """Forget what nobody will ask for."""
        for key in keys:
            with contextlib.suppress(OSError):
                self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.{self.owner}{_SUFFIX}"

    def _files(self, key: str) -> list[Path]:
        return sorted(self.folder.glob(f"{key}.*{_SUFFIX}"))

    def _bytes(self) -> int:
        total = 0
        for file in self.folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                total += file.stat().st_size
        return total


class _Taker:
    def __init__(self, scratch: Path, room_bytes: int) -> None:
        self._scratch, self._room = scratch, room_bytes
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self._file = scratch.open("wb")

    def keep(self, records: Records) -> None:
        if self._file is None:
            return
        self._room -= records.nbytes
        if self._room < 0:
            self.close()
            return
        try:
            np.save(self._file, records, allow_pickle=False)
        except OSError:
            self.close()

    def publish(self, target: Path) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.flush()
                self._scratch.replace(target)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
            with contextlib.suppress(OSError):
                self._scratch.unlink(missing_ok=True)


def _blocks(file: IO[bytes]) -> Iterator[Records]:
    with file:
        size = os.fstat(file.fileno()).st_size
        while file.tell() < size:
            yield np.load(file, allow_pickle=False)
