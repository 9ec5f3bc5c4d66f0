"""Window geometry shared by convolutions and pools."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgebnn.ir.types import Op, Shape

#: attributes of every windowed op: kernel (h, w), stride (h, w), pads (top, bottom, left, right), dilation (h, w)
ATTRS = frozenset({"kernel", "stride", "pads", "dilation"})


def out_size(op: Op, shape: Shape) -> tuple[int, int]:
    """(out_h, out_w) of a windowed op on an input of ``shape``."""
    (kh, kw), (sh, sw), (dh, dw) = op.attrs["kernel"], op.attrs["stride"], op.attrs["dilation"]
    top, bottom, left, right = op.attrs["pads"]
    return (
        (shape[0] + top + bottom - (kh - 1) * dh - 1) // sh + 1,
        (shape[1] + left + right - (kw - 1) * dw - 1) // sw + 1,
    )


def taps(op: Op, x: np.ndarray, fill: int) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """For each tap (ky, kx): the input under it for every output pixel, (out_h, out_w, C), with ``fill`` outside
    the image, and the mask (out_h, out_w) of pixels whose tap lies inside."""
    (kh, kw), (sh, sw), (dh, dw) = op.attrs["kernel"], op.attrs["stride"], op.attrs["dilation"]
    top, bottom, left, right = op.attrs["pads"]
    out_h, out_w = out_size(op, x.shape)  # type: ignore[arg-type]
    pads = ((top, bottom), (left, right), (0, 0))
    padded = np.pad(x, pads, constant_values=fill)
    inside = np.pad(np.ones(x.shape[:2], bool), pads[:2])
    for ky in range(kh):
        for kx in range(kw):
            rows = slice(ky * dh, ky * dh + (out_h - 1) * sh + 1, sh)
            cols = slice(kx * dw, kx * dw + (out_w - 1) * sw + 1, sw)
            yield ky, kx, padded[rows, cols], inside[rows, cols]
