"""Runs kernels bit-exactly against the NumPy reference on emulated Cortex-M cores."""
