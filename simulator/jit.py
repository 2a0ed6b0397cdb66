"""Where compiled kernels are cached, and how they are compiled.

Numba's on-disk cache notices a change of the file that holds a function, not of the files of the functions it
calls. So the cache folder carries a hash of every kernel source: a change anywhere starts a new cache, and a
read-only installation still caches.
"""

from __future__ import annotations

import hashlib
import re
import sys
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numba
import platformdirs
from filelock import FileLock

from simulator.endings import compiling
from simulator.interpreted import interpreted
from simulator.linked_kernels import EntryCompiler, LinkedCompiler

_ROOT = Path(__file__).parent
_IMPORT = re.compile(r"^\s*from simulator([\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)
_KERNEL = re.compile(r"^@(?:array_|inline_|shared_)?(?:kernel|entry)$", re.MULTILINE)


def kernel_sources() -> list[Path]:
    """Every file that a kernel can read: those that hold kernels, and what they import of this package, sorted."""
    texts: dict[Path, str] = {}
    waiting = [path for path in sorted(_ROOT.rglob("*.py")) if _KERNEL.search(path.read_text("utf-8"))]
    while waiting:
        path = waiting.pop()
        if path in texts or not path.exists():
            continue
        texts[path] = path.read_text("utf-8")
        for module, names in _IMPORT.findall(texts[path]):
            place = _ROOT.joinpath(*module.split("."))
            waiting += [place.with_suffix(".py"), *(place / f"{name}.py" for name in re.findall(r"\w+", names))]
    return sorted(texts)


def _sources_digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode() + Path(__file__).read_bytes())
    for path in kernel_sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


CACHE_DIR = Path(platformdirs.user_cache_dir("servecast")) / f"jit-{_sources_digest()}"

setattr(numba.config, "CACHE_DIR", str(CACHE_DIR))  # noqa: B010


_TURNS: list[FileLock] = []
"""What this process compiles, a kernel's callers before it."""
_TOLD: set[Path] = set()
"""Caches of which this process has said that it compiles into them."""
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}
LINKED: Any = {"pipeline_class": LinkedCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
ENTRY: Any = {"pipeline_class": EntryCompiler, "no_cfunc_wrapper": True, "cache": True}


def kernel(function: Any) -> Any:
    """Compile `function` in nopython mode; arithmetic is IEEE as written, so results are reproducible.

    Kernels own no memory: they only index arrays that Python keeps alive. So reference counting is off (`_nrt`), which
    would otherwise cost more than the work itself, and a kernel must not allocate. It is compiled into its entries, and
    cached with them; Python does not call it.
    """
    return numba.njit(**OPTIONS, **LINKED)(function)


def shared_kernel(function: Any) -> Any:
    """As `kernel`, for what Python calls too."""
    compiled = numba.njit(**OPTIONS)(function)
    return interpreted(compiled) if compiled is function else compiled


def inline_kernel(function: Any) -> Any:
    """As `kernel`, always compiled into its callers; others are where LLVM finds that it pays."""
    return numba.njit(forceinline=True, **OPTIONS, **LINKED)(function)


def array_kernel(function: Any) -> Any:
    """As `kernel`, for functions that make arrays or slices, which only reference counting keeps alive."""
    return numba.njit(**{**OPTIONS, **LINKED, "_nrt": True})(function)


def entry(function: Any) -> Any:
    """As `kernel`, for what Python calls: cached on disk, with all that it calls compiled in."""
    return _compiled_once(numba.njit(**OPTIONS, **ENTRY)(function))


def array_entry(function: Any) -> Any:
    """As `entry`, for an `array_kernel`."""
    return _compiled_once(numba.njit(**{**OPTIONS, **ENTRY, "_nrt": True})(function))


def _tell(folder: Path) -> None:
    """Say once that whoever waits now waits for a compiler, and does so no second time."""
    if not _TOLD:
        text = "servecast: compiling kernels for a kind of fleet that is new here, once: 1 to 4 minutes of one core"
        print(f"{text} (`servecast doctor --warm-all` compiles all kinds)", file=sys.stderr, flush=True)
    _TOLD.add(folder)


def _whole(cache: Any, load: Any, signature: Any, target: Any) -> Any:
    """What is cached of a signature; of files that were cut as the machine went down nothing is."""
    try:
        return load(signature, target)
    except (EOFError, UnpicklingError):
        with FileLock(Path(cache.cache_path) / "saving.lock"):
            cache.flush()
        return None


def _compiled_once(dispatcher: Any) -> Any:
    """Let no two processes compile the same, and only one at a time write: Numba locks neither index nor objects.

    What is in the folder is loaded without waiting. Who finds nothing there waits for whoever compiles this signature,
    looks again, and else keeps others from compiling it until its object is saved. The locks lie beside the objects; a
    kernel's lock is taken under those of its callers only, so that nobody waits in a circle.
    """
    compile_for, cache = getattr(dispatcher, "_compile_for_args", None), getattr(dispatcher, "_cache", None)
    if compile_for is None or cache is None:  # NUMBA_DISABLE_JIT
        return interpreted(dispatcher)
    load, save = partial(_whole, cache, cache.load_overload), cache.save_overload
    folder, name = Path(cache.cache_path), dispatcher.py_func.__qualname__

    def load_or_take_turn(signature: Any, target: Any) -> Any:
        found = load(signature, target)
        if found is not None:
            return found
        folder.mkdir(parents=True, exist_ok=True)
        turn = FileLock(folder / f"{name}-{hashlib.sha256(str(signature).encode()).hexdigest()[:16]}.lock")
        turn.acquire()
        found = load(signature, target)
        if found is None:
            _TURNS.append(turn)
            _tell(folder)
        else:
            turn.release()
        return found

    def save_alone(signature: Any, compiled: Any) -> None:
        try:
            with FileLock(folder / "saving.lock"):
                save(signature, compiled)
        except OSError as error:
            raise OSError(error.errno, error.strerror, error.filename or str(folder)) from error
        _TURNS.pop().release()

    def compile_and_pass_on(*args: Any, **kwargs: Any) -> Any:
        try:
            with compiling():
                return compile_for(*args, **kwargs)
        finally:
            while _TURNS:
                _TURNS.pop().release()

    cache.load_overload, cache.save_overload = load_or_take_turn, save_alone
    dispatcher._compile_for_args = compile_and_pass_on
    return dispatcher
