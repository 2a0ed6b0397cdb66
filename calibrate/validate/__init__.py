"""Compares simulated with measured serving."""
