"""Handwritten digits: scikit-learn's bundled 8 x 8 images (Alpaydin, Kaynak 1998), a complete task in
seconds.
"""

from __future__ import annotations

import numpy as np

from edgebnn.errors import ToolchainError
from edgebnn.train.kws import LabelledFeatures


def load_digits(seed: int = 0) -> LabelledFeatures:
    """1437 training and 360 validation images, int8 [8, 8, 1]; pixel values 0..16 become -64..64.

    Raises ToolchainError where scikit-learn is not installed. ``seed`` shuffles the split.
    """
    try:
        from sklearn import datasets  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ModuleNotFoundError:
        raise ToolchainError("the digits come with scikit-learn", hint="pip install scikit-learn") from None
    bunch = datasets.load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    x = (bunch.images[order] * 8 - 64).astype(np.int8)[..., None]
    label = bunch.target[order].astype(np.int64)
    return LabelledFeatures(x[:1437, None], label[:1437], x[1437:], label[1437:], [str(i) for i in range(10)])
