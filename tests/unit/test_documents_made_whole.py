"""`make docs` leaves a whole site or the older one, whenever it ends."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
MKDOCS = """#!/bin/sh
while [ "$1" != --site-dir ]; do shift || exit 9; done
rm -rf "$2" && mkdir -p "$2" && echo newer > "$2/index.html" && {then}
"""


@pytest.mark.parametrize(("then", "page"), [("exit 1", "older"), ("kill -9 $$", "older"), ("exit 0", "newer")])
def test_a_site_that_is_cut_short_leaves_the_older_one(tmp_path: Path, then: str, page: str) -> None:
    (tmp_path / "build/site").mkdir(parents=True)
    (tmp_path / "build/site/index.html").write_text("older\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("mkdocs", MKDOCS.format(then=then)), ("pytest", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    shutil.copy(MAKEFILE, tmp_path)
    given = ["make", "-o", "setup", "-o", ".venv/.docs", "docs", f"BIN={programs}"]
    done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) == (page == "newer"), done.stderr
    assert (tmp_path / "build/site/index.html").read_text() == f"{page}\n"
    assert (tmp_path / "build/site.part").exists() == (page == "older"), "which the next one clears"
