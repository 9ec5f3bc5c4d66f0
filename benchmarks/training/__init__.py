"""Accuracy, size and estimated speed of the keyword spotters, trained by one pipeline."""
