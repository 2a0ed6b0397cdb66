"""What all pages look like beyond Streamlit's theme."""

from __future__ import annotations

STYLE = """<style>
[data-testid='stCaptionContainer'] {color: inherit; opacity: 0.85}
[data-testid='stBaseButton-primary']:enabled {background-color: #0072B2; border-color: #0072B2; color: white}
</style>"""
"""Captions and the words of buttons have a contrast of 4.5 at least, in both themes."""
