"""Run bundles on disk."""
