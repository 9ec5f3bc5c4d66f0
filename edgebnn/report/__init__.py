"""Reports: comparisons of several executions of one model."""
