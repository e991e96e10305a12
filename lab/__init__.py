"""Real servers and instruments for the tests, the measurements and the reader (`make lab`)."""
