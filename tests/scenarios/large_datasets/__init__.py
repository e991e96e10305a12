"""Tests of scenario 1, large datasets."""
