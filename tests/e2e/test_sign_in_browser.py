"""Who has not signed in sees nothing of the runs; who has, sees them until signing out."""

from __future__ import annotations

from pathlib import Path

from bench.browser import chromium, free_port, server


def test_pages_are_shown_to_who_signs_in_alone(runs: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    from tests.e2e.provider import provider

    port = free_port()
    file = tmp_path / "auth.toml"
    with provider() as description:
        file.write_text(
            f"""[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "servecast"
client_secret = "known to both"
server_metadata_url = "{description}"
"""
        )
        with (
            server(runs, out=runs, port=port, options=["--sign-in", str(file)]) as (address, _),
            chromium() as browser,
        ):
            page = browser.new_page()
            page.goto(f"{address}/cost")
            expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=240_000)
            assert "Overview" not in page.inner_text("body")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_text("SLO met").first).to_be_visible(timeout=240_000)
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=240_000)
            assert "Overview" not in page.inner_text("body")
