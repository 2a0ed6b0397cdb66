"""Scenario files: loading with positions, overlays, checks, the resolved view and the JSON Schema."""
