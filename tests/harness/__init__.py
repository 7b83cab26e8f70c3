"""Parts that all suites of tests share: the list of tests, and the lines in which results are reported."""
