"""Hugging Face `config.json` → the shape of a model: its matrices and what every layer caches."""
