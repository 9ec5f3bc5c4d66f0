"""edgebnn: train, convert, run and measure binary and low-bit neural networks on microcontrollers."""

__version__ = "0.1.0"
