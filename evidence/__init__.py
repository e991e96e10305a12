"""Measurements: one module a scenario, results recorded in `evidence/results`."""
