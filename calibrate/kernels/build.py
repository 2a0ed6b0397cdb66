"""All hardware profiles from one source of tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from calibrate.kernels.profile import Profile, build_profile, write_json
from calibrate.kernels.tables import Tables, package_version
from calibrate.kernels.transfer import (
    fill_formats,
    fill_missing_kernels,
    lend_links,
    lend_sinks,
    share_launches,
    transferred,
)
from simulator.errors import InputError, unknown_name

FORMAT = "servecast-hardware/1"
WEIGHT_ONLY_DONORS = {"gemm": "a100-80", "experts": "l40s"}
"""GPUs whose tables have weight-only formats of these kernels."""
MISSING_KERNELS = {"stream": "h100-sxm", "latent": "l40s", "state": "l40s"}
"""Kernels that some GPUs have no table of, and the GPU that lends them."""

SINKS_DONOR = "l40s"
"""GPU whose table has the attention kernel that computes sinks on GPUs whose own kernel does not."""


@lru_cache
def systems() -> Any:
    """Which tables stand for which GPU (`systems.yaml`)."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(Path(__file__).parent / "systems.yaml")


def build_all(tables: Tables, names: Sequence[str], retrieved: str, progress: Callable[[str], None]) -> dict[str, Any]:
    """Profiles of the GPUs in `names` (all where empty), by name.

    Raises
    ------
    InputError : a GPU without tables or a rule for its transfer; tables missing in the source
    """
    known = {**systems()["measured"], **systems()["transferred"]}
    for name in names:
        if name not in known:
            raise InputError(unknown_name("GPU", name, known))
    profiles: dict[str, dict[str, Any]] = {}
    for name, entry in systems()["measured"].items():
        progress(f"fitting {name}")
        start = len(tables.used)
        built = build_profile(tables, name, entry)
        profiles[name] = _head(name, entry, tables, start, retrieved) | _body(built)
    for name, entry in systems()["measured"].items():
        if "links" in entry:
            lend_links(name, entry["links"], profiles)
    share_launches(profiles, "latent")
    fill_missing_kernels(profiles, MISSING_KERNELS)
    fill_formats(profiles, WEIGHT_ONLY_DONORS)
    fallback = [name for name, entry in systems()["measured"].items() if entry.get("sinks") == "fallback"]
    lend_sinks(profiles, fallback, SINKS_DONOR)
    for name, entry in systems()["transferred"].items():
        source = profiles[entry["kernels"]]["source"]
        profiles[name] = {"format": FORMAT, "gpu": name, "source": source} | transferred(name, entry, profiles)
    return {name: profile for name, profile in profiles.items() if not names or name in names}


def _head(name: str, entry: Any, tables: Tables, start: int, retrieved: str) -> dict[str, Any]:
    source = {
        "package": systems()["package"],
        "version": package_version(tables.root) or "unknown",
        "license": systems()["license"],
        "url": systems()["url"],
        "retrieved": retrieved,
        "engine": f"vLLM {entry['vllm']}",
        "tables": tables.used[start:],
    }
    return {"format": FORMAT, "gpu": name, "source": source}


def _body(built: Profile) -> dict[str, Any]:
    return {"transferred_from": None, "kernels": built.kernels, "stand_ins": {}, "residuals": built.residuals}


def write_profiles(profiles: dict[str, Any], folder: Path) -> list[Path]:
    """One file `GPU.json` per profile."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, profile in profiles.items():
        files.append(folder / f"{name}.json")
        write_json(files[-1], profile)
    return files
