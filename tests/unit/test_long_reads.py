"""Files that take long to read are told of."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.workload import long_reads
from simulator.workload.pieces import read_pieces, read_table


def write(file: Path, rows: int) -> None:
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{k},5,5\n" for k in range(rows)))


def test_rows_are_told_every_few_seconds(tmp_path: Path) -> None:
    """A clock that goes a second a look is past three at the third piece."""
    write(tmp_path / "log.csv", 9)
    table = read_table(tmp_path / "log.csv")
    told: list[tuple[Path, int]] = []
    ticks = count(0.0)
    with long_reads.long_reads(lambda file, rows: told.append((file, rows))):
        pieces = long_reads.watched(tmp_path / "log.csv", iter([table] * 9), lambda: next(ticks))
        assert len(list(pieces)) == 9
    assert [rows for _, rows in told] == [27, 54, 81]
    assert len(list(long_reads.watched(tmp_path / "log.csv", iter([table] * 9), lambda: next(ticks)))) == 9
    assert len(told) == 3, "nobody asked"


def test_commands_tell_of_them_unless_they_are_to_be_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "log.csv", 1_000)
    monkeypatch.setattr(long_reads, "EVERY_S", 0.0)
    assert main.run_command(["traces", str(tmp_path / "log.csv")]) == 0
    assert "servecast: reading log.csv (0 MB): 1,000 rows so far, about 99%" in capsys.readouterr().err
    list(read_pieces(tmp_path / "log.csv"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "told"), [("log.csv", ", about 25%"), ("log.csv.gz", "")])
def test_of_plain_text_the_share_that_is_read_is_told(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / name).write_text("12345,5,5\n" * 100_000)
    assert long_reads.so_far(tmp_path / name, 25_000) == f"25,000 rows so far{told}"
