"""Where compiled kernels are cached, and how they are compiled.

Numba's on-disk cache notices a change of the file that holds a function, not of the files of the functions it
calls. So the cache folder carries a hash of every kernel source: a change anywhere starts a new cache, and a
read-only installation still caches.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numba
import platformdirs

_ROOT = Path(__file__).parent


def _sources_digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode() + Path(__file__).read_bytes())
    for room in ("engine", "fleet", "metrics", "perf", "workload"):
        for path in sorted((_ROOT / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


CACHE_DIR = Path(platformdirs.user_cache_dir("servecast")) / f"jit-{_sources_digest()}"

setattr(numba.config, "CACHE_DIR", str(CACHE_DIR))  # noqa: B010


_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}


def kernel(function: Any) -> Any:
    """Compile `function` in nopython mode, cached on disk; arithmetic is IEEE as written, so results are reproducible.

    Kernels own no memory: they only index arrays that Python keeps alive. So reference counting is off (`_nrt`), which
    would otherwise cost more than the work itself, and a kernel must not allocate.
    """
    return numba.njit(**_OPTIONS)(function)


def array_kernel(function: Any) -> Any:
    """As `kernel`, for functions that make arrays or slices, which only reference counting keeps alive."""
    return numba.njit(**{**_OPTIONS, "_nrt": True})(function)
