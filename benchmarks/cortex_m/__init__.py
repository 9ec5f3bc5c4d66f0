"""Cortex-M kernels against CMSIS-NN: instructions (exact) and estimated cycles of whole layers."""
