"""Every promise of the project, as tests."""
