"""Damaged bundles, and whatever reads them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from random import Random

from bench.hostile.attempt import command
from bench.hostile.chat import CHAT, QUIET, Run
from bench.hostile.mutate import damaged, json_of, mutated, text_of

BUNDLES: list[Path] = []
"""A sound bundle, made once, that others are damaged copies of."""


def bundle(rng: Random, folder: Path) -> Run:
    """A damaged run bundle, read by every command and by the dashboard's loaders."""
    place = folder / "bundle"
    shutil.copytree(_sound(folder), place)
    for _ in range(rng.randint(1, 2)):
        _damage(place, rng)
    others = ("report", "--format", "md"), ("report", "--format", "html"), ("steps",), ("compare",), ("verify bundle",)
    chosen = rng.choice((*others, ("dashboard",)))
    match chosen[0]:
        case "report":
            return command("report", str(place), *chosen[1:], "--out", str(folder / "written"))
        case "verify bundle":
            return command("verify", "bundle", str(place))
        case "dashboard":
            return _loaders(place)
        case name:
            return command(name, str(place))


def _sound(folder: Path) -> Path:
    if not BUNDLES:
        file = folder / "sound.yaml"
        tree = json.loads(json.dumps(CHAT))
        tree["cost"]["draws"] = 50
        file.write_text(text_of(tree))
        with contextlib.redirect_stdout(io.StringIO()):
            command("run", str(file), "--out", str(folder.parent / "sound"), *QUIET)()
        BUNDLES.append(next((folder.parent / "sound").iterdir()))
    return BUNDLES[0]


def _damage(place: Path, rng: Random) -> None:
    files = sorted(file for file in place.rglob("*") if file.is_file() and not file.is_symlink())
    if not files:
        return
    file = rng.choice([each for each in files if each.suffix in (".json", ".parquet")] or files)
    match rng.randrange(8):
        case 0:
            file.unlink()
        case 1:
            file.unlink()
            file.mkdir()
        case 2:
            file.unlink()
            file.symlink_to(file.name)
        case 3:
            file.write_bytes(damaged(file.read_bytes(), rng))
        case 4:
            import pandas as pd

            file.unlink()
            pd.DataFrame({"x": []}).to_parquet(file.with_suffix(".parquet"))
        case 5:
            file.write_bytes(rng.choice(files).read_bytes())
        case _ if file.suffix == ".json":
            try:
                tree = json.loads(file.read_bytes())
            except ValueError:
                return
            file.write_bytes(json_of(mutated(tree, rng)))
        case _:
            file.write_bytes(b"")


def _loaders(place: Path) -> Run:
    def read() -> int:
        from dashboard.loading import decision, open_bundle, resolved, table
        from simulator.cli.problems import in_words
        from simulator.errors import InputError
        from simulator.results.shelf import bundle_folders, named_folders

        named_folders(bundle_folders((str(place.parent),)))
        bundle_folders((str(place),))
        try:
            found = open_bundle(place)
            decision(found)
            resolved(found)
            for name in ("costs", "latency", "fleet", "demand", "events", "requests"):
                table(found, name)
        except InputError as error:
            print(in_words(error))
            return 2
        return 0

    return read
