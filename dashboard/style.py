"""What all pages look like beyond Streamlit's theme."""

from __future__ import annotations

STYLE = """<style>
[data-testid='stMainBlockContainer'] {padding: 4rem clamp(1rem, 3vw, 2.5rem) 4rem}
[data-testid='stCaptionContainer'] {color: inherit; opacity: 0.85}
[data-testid='stBaseButton-primary']:enabled {background-color: #0072B2; border-color: #0072B2; color: white}
[data-testid='stExpander'] summary {opacity: 0.85}
[data-tag] {background-color: #0072B2}
[data-testid='stMetricLabel'] :is(div, p) {white-space: normal; overflow: visible}
[data-testid='stHeading'] h2 {font-size: 1.75rem; padding: 0.5rem 0 1rem}
</style>"""
"""Little is left free around a page: tables need the width. Captions, buttons and what is chosen have a contrast of
4.5 at least, in both themes; names of figures go on in a second line where a card is too narrow for them."""
