"""No tracked text names the host of a package registry: where packages come from is a machine's own business."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "pypi" + ".python.org")
KINDS = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".in", ".lock", ".json", ".ipynb", ""}
ROOMS = ("bench", "calibrate", "dashboard", "docs", "scenarios", "simulator", "tests")


def test_no_registry_is_named() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*")] + list(ROOT.iterdir())
    read = [path for path in files if path.is_file() and path.suffix in KINDS and path.name != ".git"]
    assert len(read) > 1000
    named = [path for path in read if any(host in path.read_text("utf-8", errors="replace") for host in HOSTS)]
    assert named == []
