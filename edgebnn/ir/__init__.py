"""The IR: an immutable integer graph, its ops with NumPy reference semantics, its verifier and its file format."""

from edgebnn.ir.file import load, save
from edgebnn.ir.types import Graph, Op, Shape, TensorType
from edgebnn.ir.verify import verify

__all__ = ["Graph", "Op", "Shape", "TensorType", "load", "save", "verify"]
