"""Simulations on disk by key: what was simulated once, by this program on this machine, is not simulated again.

One file a key, written under a scratch name and renamed, with a checksum before its content. Two writers of one key
write the same bytes. A file that does not fit its checksum, or cannot be read, is a miss. The folder is kept below a
size; what was used longest ago goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from simulator.errors import InputError
from simulator.results.files import write_text
from simulator.results.scratch import is_alive
from simulator.simulate.codec import decode, encode
from simulator.simulate.key import machine_key

FOLDER = Path(platformdirs.user_cache_dir("servecast")) / "trials"
LIMIT_BYTES = 1_000_000_000
_SUFFIX = ".trial"
_CHECKSUM_BYTES = 32
_SWEPT_SHARE = 0.02
"""What a process writes between two sweeps, of the limit: each looks at all files."""
MOST_IN_MEMORY = 64
"""Values of a folder that a process holds, those used last; it reads the others again."""


@dataclass
class Store:
    """Values by key.

    Attributes
    ----------
    folder : None keeps nothing beyond this process
    hits, misses : of this process
    """

    folder: Path | None = None
    limit_bytes: int = LIMIT_BYTES
    hits: int = 0
    misses: int = 0
    _known: dict[str, object] = field(default_factory=dict, repr=False)
    _on_disk: dict[str, object] = field(default_factory=dict, repr=False)
    _unswept_bytes: float = math.inf

    def get(self, key: str) -> object | None:
        """The value, or None."""
        found = self._known.get(key, self._on_disk.get(key))
        if found is None and self.folder is not None:
            found = self._read(self.folder / f"{key}{_SUFFIX}")
        if found is not None and key not in self._known:
            self._hold(key, found)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def put(self, key: str, value: object) -> None:
        """Keep a value. A folder that cannot be written is no error: the value is simulated again next time."""
        if self.folder is None:
            self._known[key] = value
            return
        content = encode(value)
        target = self.folder / f"{key}{_SUFFIX}"
        scratch = self.folder / f".{key}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(hashlib.sha256(content).digest() + content)
            scratch.replace(target)
            self._hold(key, value)
            self._unswept_bytes += _CHECKSUM_BYTES + len(content)
            if self._unswept_bytes > _SWEPT_SHARE * self.limit_bytes:
                self.sweep()
                self._unswept_bytes = 0.0
        if key not in self._on_disk:
            self._known[key] = value
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)

    def _hold(self, key: str, value: object) -> None:
        self._on_disk.pop(key, None)
        self._on_disk[key] = value
        if len(self._on_disk) > MOST_IN_MEMORY:
            del self._on_disk[next(iter(self._on_disk))]

    @property
    def can_keep(self) -> bool:
        """Whether other processes will find what is put here."""
        if self.folder is None:
            return False
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        return os.access(self.folder, os.W_OK)

    def _read(self, file: Path) -> object | None:
        try:
            content = file.read_bytes()
            checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
            if hashlib.sha256(content).digest() != checksum:
                return None
            found = decode(content)
            os.utime(file)
        except Exception:
            return None
        return found

    def sweep(self) -> None:
        """Remove what was used longest ago until the folder is below its limit, and what killed processes left."""
        for entry in self._entries():
            writer = entry.name.rpartition(".")[2]
            if entry.name.startswith(".") and writer.isdigit() and not is_alive(int(writer)):
                with contextlib.suppress(OSError):
                    os.unlink(entry)
        files = sorted(self.files(), key=lambda entry: entry[2], reverse=True)
        total = 0
        for file, size, _ in files:
            total += size
            if total > self.limit_bytes:
                with contextlib.suppress(OSError):
                    file.unlink()

    def files(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use of each entry."""
        found: list[tuple[Path, int, float]] = []
        for entry in self._entries():
            if entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    stat = entry.stat()
                    found.append((Path(entry.path), stat.st_size, stat.st_mtime))
        return found

    def _entries(self) -> list[os.DirEntry[str]]:
        """What is in the folder, read at once: a directory of 10,000 files is listed often."""
        if self.folder is None:
            return []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            return list(entries)
        return []

    def record(self) -> None:
        """Add this process's hits and misses to those of this machine."""
        if self.folder is None or not self.hits + self.misses:
            return
        hits, misses = self.counts()
        with contextlib.suppress(OSError, InputError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self._counts_file, json.dumps([hits + self.hits, misses + self.misses]))
        self.hits = self.misses = 0

    def counts(self) -> tuple[int, int]:
        """Hits and misses of all processes of this machine, as far as they were recorded."""
        try:
            hits, misses = json.loads(self._counts_file.read_text("utf-8"))
            return int(hits), int(misses)
        except (OSError, ValueError, TypeError):
            return 0, 0

    @property
    def _counts_file(self) -> Path:
        assert self.folder is not None
        return self.folder / f"{machine_key()[:16]}.json"

    def clear(self) -> None:
        """Remove every entry."""
        self._known.clear()
        self._on_disk.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def user_store() -> Store:
    """The store of this user, shared by all commands."""
    return Store(FOLDER)
