"""What we say that vLLM refuses or changes is what vLLM 0.32.0 and 0.33.0 did when they were asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.modes.refusals import Asked, Effect, settle
from simulator.engine.modes.spec import GroupKind
from simulator.engine.rules import RULE_SETS

ASKED = json.loads((Path(__file__).parents[1] / "data/vllm-refusals.json").read_text())["rows"]


def asked_of(row: dict[str, Any]) -> Asked:
    layers = frozenset(GroupKind[name] for name in row["asked"]["layers"])
    return Asked(**row["asked"] | {"layers": layers})


@pytest.mark.parametrize("version", list(RULE_SETS))
def test_what_vllm_was_asked_it_answered_as_we_do(version: str) -> None:
    for row in ASKED:
        asked = asked_of(row)
        made, findings = settle(asked, version)
        refused = [finding.message for finding in findings if finding.effect is Effect.REFUSED]
        answer = row[version]
        if "ours" in row:
            assert row["ours"] in refused[0]
            assert "refused" not in answer
        elif "refused" in answer or refused:
            assert ("refused" in answer) == bool(refused), (row, refused)
        else:
            ours = {name: getattr(made, name) for name in answer} | {
                "disable_hybrid_kv_cache_manager": bool(made.disable_hybrid_kv_cache_manager)
            }
            assert ours == answer, row


def test_numbers_in_our_messages_are_those_that_vllm_names() -> None:
    """Each number of its message that was asked for stands in ours."""
    for row in ASKED:
        for version in RULE_SETS:
            words = row[version].get("refused", "")
            given = [str(value) for value in row["asked"].values() if str(value).isdigit()]
            (message, *_) = [f.message for f in settle(asked_of(row), version)[1] if f.effect is Effect.REFUSED] or [""]
            assert all(f"({value})" in message for value in given if f"({value})" in words), (words, message)
