"""The measures: pure functions of arrays and a seed."""
