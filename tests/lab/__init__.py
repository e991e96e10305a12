"""Tests of the servers and instruments."""
