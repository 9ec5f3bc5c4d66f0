"""Post-training quantisation: ranges of activations by calibration, low-bit weights by layer-wise reconstruction.

Nothing here trains by gradients; quantisation-aware training (``edgebnn.train.recipes``) is more accurate,
and the report says by how much.
"""
