"""Fits the step-time model of a profile to measured steps."""
