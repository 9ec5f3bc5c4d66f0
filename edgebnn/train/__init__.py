"""Quantisation-aware training with PyTorch: quantisers, layers, data and the training loop."""
