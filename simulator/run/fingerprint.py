"""What determines the results of a scenario, in bytes that are the same wherever its files lie."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from simulator.scenario.load import LoadedScenario
from simulator.scenario.references import Reference
from simulator.scenario.resolved import resolved_data

_ROOT = Path(__file__).resolve().parents[1]


def fingerprint(loaded: LoadedScenario, files: Sequence[Reference]) -> bytes:
    """The scenario with all defaults, the content of the files that it names, and the version."""
    data = json.dumps(resolved_data(loaded, files), sort_keys=True).encode()
    return b"\x00".join([program()["servecast"].encode(), data, *(file.sha256.encode() for file in files)])


@cache
def program() -> dict[str, str]:
    """What has to be the same where parts of one result are simulated: `servecast`, its files, numba, Python."""
    python = ".".join(platform.python_version_tuple()[:2])
    own = {"servecast": version("servecast"), "program_sha256": program_digest()}
    return {**own, "numba": version("numba"), "python": python}


@cache
def program_digest() -> str:
    """Hash of the simulator's own files, catalog included: results of one may not be mixed with those of another."""
    digest = hashlib.sha256()
    for file in sorted(path for path in _ROOT.rglob("*") if path.suffix in (".py", ".yaml", ".csv", ".json")):
        digest.update(file.relative_to(_ROOT).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
