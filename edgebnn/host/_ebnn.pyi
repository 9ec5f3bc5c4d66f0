"""The compiled extension (build_ext.py)."""

from typing import Any

ffi: Any
lib: Any
