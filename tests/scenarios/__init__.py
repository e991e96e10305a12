"""Behaviour tests and drills, one folder a scenario."""
