"""FILL: drills."""
