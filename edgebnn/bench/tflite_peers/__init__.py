"""Peers that run .tflite models, each by the Python interpreter it is installed for.

``worker`` is started there, without edgebnn: the files of this folder need Python 3.9, NumPy and flatbuffers (which
both peers require), and import nothing else of this package.
"""
