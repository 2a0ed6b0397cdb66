"""What a page says when somebody else has saved the draft that it shows, and what each of the two ways out keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import drafts
from dashboard.settings import Settings

TEXT = "scenario.text"
YOURS = (
    "**Two pages edit this scenario.** {who} saved last, at {at}; {yours}. Both versions are at hand, and whichever "
)
YOURS += "you choose, the other stays among the steps of Undo."


def _page(text: str, begun: str) -> None:
    import streamlit as st

    from dashboard.components.draft import keep

    st.session_state.setdefault("scenario.source", "own")
    st.session_state.setdefault("scenario.text", text)
    keep(st.session_state["scenario.text"], begun, {})


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("dashboard.components.draft._when", lambda version: f"{version.number} o'clock")
    monkeypatch.setattr("dashboard.components.draft.visitor", lambda: "me")
    for name, value in Settings((str(tmp_path),), str(tmp_path)).to_environment().items():
        monkeypatch.setenv(name, value)
    return tmp_path


def texts(out: Path, draft: str) -> list[tuple[int, str]]:
    return [(version.number, version.text) for version in drafts.versions(out, draft)]


def edited(out: Path, theirs: str, who: str = "other", name: str = "") -> tuple[AppTest, str]:
    """A page with a change `mine` on `begun`, where somebody saves `theirs` before the next one."""
    app = AppTest.from_function(_page, args=("mine", "begun")).run()
    draft = app.query_params["draft"]
    assert texts(out, draft) == [(1, "begun"), (2, "mine")]
    assert not app.warning
    drafts.save(out, draft, 2, theirs, who, name)
    return app, draft


def warned(app: AppTest) -> list[str]:
    return [each.value for each in app.warning]


def test_without_a_change_nothing_is_kept(out: Path) -> None:
    app = AppTest.from_function(_page, args=("begun", "begun")).run()
    assert not app.warning
    assert "draft" not in app.query_params
    assert not (out / drafts.FOLDER).exists()


@pytest.mark.parametrize(
    ("who", "name", "told"),
    [("other", "", "Somebody else"), ("me", "", "Another tab of yours"), ("other", "A*n", r"A\*n")],
)
def test_a_page_that_shows_the_version_before_says_so(out: Path, who: str, name: str, told: str) -> None:
    app, draft = edited(out, "theirs", who, name)
    app.run()
    assert warned(app) == [YOURS.format(who=told, at="3 o'clock", yours="your page still shows the version before")]
    assert [button.label for button in app.button] == ["Take theirs", "Keep mine"]
    assert [block.value for block in app.code] == ["--- mine\n+++ theirs\n@@ -1 +1 @@\n-mine\n+theirs"]
    assert texts(out, draft)[2:] == [(3, "theirs")]


def test_a_change_that_is_not_saved_over_theirs_is_told_and_kept_below_them(out: Path) -> None:
    app, draft = edited(out, "theirs")
    app.session_state[TEXT] = "mine again"
    app.run()
    assert warned(app) == [
        YOURS.format(who="Somebody else", at="3 o'clock", yours="your change is not saved over theirs")
    ]
    app.button(key="draft.theirs").click().run()
    assert not app.exception
    assert app.session_state[TEXT] == "theirs"
    assert texts(out, draft)[2:] == [(3, "theirs"), (4, "mine again"), (5, "theirs")]
    assert app.session_state["scenario.steps"] == ("own", [{TEXT: "mine again"}, {TEXT: "theirs"}])
    assert warned(app) == []


def test_who_takes_theirs_without_a_change_saves_nothing(out: Path) -> None:
    app, draft = edited(out, "theirs")
    app.run()
    app.button(key="draft.theirs").click().run()
    assert app.session_state[TEXT] == "theirs"
    assert texts(out, draft)[2:] == [(3, "theirs")]
    assert warned(app) == []


def test_who_keeps_theirs_below_saves_on_top_of_them(out: Path) -> None:
    app, draft = edited(out, "theirs")
    app.session_state["scenario.steps"] = "own", [{TEXT: "begun"}, {TEXT: "mine"}]
    app.run()
    app.button(key="draft.mine").click().run()
    assert app.session_state[TEXT] == "mine"
    assert texts(out, draft)[2:] == [(3, "theirs"), (4, "mine")]
    assert app.session_state["scenario.steps"] == ("own", [{TEXT: "begun"}, {TEXT: "theirs"}, {TEXT: "mine"}])
    assert warned(app) == []
    app.session_state[TEXT] = "more"
    app.run()
    assert texts(out, draft)[4:] == [(5, "more")]


def test_two_who_write_the_same_agree(out: Path) -> None:
    app, draft = edited(out, "mine")
    app.run()
    assert warned(app) == []
    app.session_state[TEXT] = "more"
    app.run()
    assert texts(out, draft)[2:] == [(3, "mine"), (4, "more")]


def test_a_draft_that_is_no_longer_kept_is_told(out: Path) -> None:
    import shutil

    app, draft = edited(out, "theirs")
    shutil.rmtree(out / drafts.FOLDER / draft)
    app.session_state[TEXT] = "more"
    app.run()
    assert len(warned(app)) == 1
    assert warned(app)[0].startswith("the draft")
    assert "cannot be kept" in warned(app)[0]
