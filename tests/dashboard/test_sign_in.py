"""Signing in: what a file of a provider must say, and what is shown to who has not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard.settings import Settings
from dashboard.sign_in import check_provider
from dashboard.visitor import visitor
from simulator.errors import InputError

AUTH = """[auth]
redirect_uri = "https://plan.example.com/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "servecast"
client_secret = "known to both"
server_metadata_url = "https://login.example.com/.well-known/openid-configuration"
"""


def test_a_whole_file_of_a_provider_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "auth.toml"
    file.write_text(AUTH)
    check_provider(file)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[auth]", "[auth", "is not TOML"),
        ("[auth]", "[login]", r"has no section \[auth\]"),
        (AUTH, "auth = 1", r"has no section \[auth\]"),
        ('client_id = "servecast"\n', "", "auth.client_id: must be given"),
        ('"known to both"', '" "', "auth.client_secret: must be given"),
        ('"known to both"', "7", "auth.client_secret: must be given"),
        ("/oauth2callback", "/", "auth.redirect_uri: must end in /oauth2callback"),
        (
            "0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcde",
            "auth.cookie_secret: must have at least 32",
        ),
    ],
)
def test_a_file_that_cannot_work_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = tmp_path / "auth.toml"
    assert old in AUTH
    file.write_text(AUTH.replace(old, new))
    with pytest.raises(InputError, match=words):
        check_provider(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"auth\.toml"):
        check_provider(tmp_path / "auth.toml")


def test_a_file_that_is_not_toml_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "auth.toml"
    file.write_text("[auth")
    with pytest.raises(InputError, match=r"^\S*auth\.toml: is not TOML: "):
        check_provider(file)


def test_who_has_signed_in_is_known_by_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.visitor.settings", lambda: Settings(sign_in=True))
    words = []
    for issuer, name in (("x", "ann"), ("x", "bob"), ("y", "ann"), ("x", "ann")):
        user = SimpleNamespace(get={"iss": issuer, "sub": name}.get)
        monkeypatch.setattr("dashboard.visitor.st", SimpleNamespace(user=user))
        words.append(visitor())
    assert words[0] == words[3]
    assert len({*words}) == 3
