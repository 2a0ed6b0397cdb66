"""What is said where a cluster cannot be joined; what a cluster does is in tests/cluster."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.main import _run
from simulator.cluster import joined
from simulator.errors import InputError

SIZED = str(Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml")
Capture = pytest.CaptureFixture[str]


def found(name: str) -> Any:
    return None if name == "ray" else importlib.util.find_spec(name)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture) -> None:
    monkeypatch.setattr("simulator.cluster.find_spec", found)
    command = ["sweep", SIZED, "--grid", "run.seed=1,2", "--out", str(tmp_path)]
    assert _run([*command, "--executor", "ray"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "servecast: --executor: Ray is not installed: pip install 'servecast[ray]' (got ray)\n"
    assert shown.out == ""
    assert _run([*command, "--ray-address", "127.0.0.1:1"]) == 2
    assert "--ray-address: goes with --executor ray (got 127.0.0.1:1)" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
    assert "ray" not in sys.modules


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:99999", "ray://head:10001", "a b:1", "head:x"])
def test_an_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.cluster.find_spec", lambda name: name)
    with pytest.raises(InputError, match="--ray-address: must be host:port"), joined(address):
        pass


def test_where_nobody_listens_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.cluster.find_spec", lambda name: name)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with (
            pytest.raises(InputError, match=r"cannot be reached: .*; start one by `ray start --head`"),
            joined(address),
        ):
            pass
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(InputError, match="cannot be reached"), joined():
            pass
