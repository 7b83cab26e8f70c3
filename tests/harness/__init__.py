"""Shared parts of all test suites: the list of tests, and the format of results."""
