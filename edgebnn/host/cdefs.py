"""The C headers as cffi reads them: the field table of the parameter structs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

#: headers with structs that kernels or models use, in include order
HEADERS = ("ebnn.h", "ebnn_params.h")


def headers(kernels: Path) -> list[str]:
    """All struct headers of cmsis_kernels/include: the fixed two, then those of single kernel families."""
    extra = sorted(p.name for p in (kernels / "include").glob("ebnn_*.h"))
    return [
        *HEADERS,
        *(n for n in extra if n not in (*HEADERS, "ebnn_kernels.h", "ebnn_config.h", "ebnn_threads.h")),
    ]


def cdef(kernels: Path, sources: Iterable[Path] = ()) -> str:
    """Declarations for ffi.cdef: the headers without comments, preprocessor lines and linkage blocks, and without the
    *_get_buffer_size functions that ``sources`` do not define."""
    defined = "\n".join(path.read_text() for path in sources)
    parts = []
    for name in headers(kernels):
        text = (kernels / "include" / name).read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        text = re.sub(r'#ifdef __cplusplus\s*\n(extern "C" \{|\})\s*\n#endif', "", text)
        text = re.sub(r"^[ \t]*#.*(\\\n.*)*$", "", text, flags=re.MULTILINE)
        for prototype, name in re.findall(r"(uint32_t (\w+_get_buffer_size)\([^)]*\);)", text):
            if f"{name}(const void *params) {{" not in defined:
                text = text.replace(prototype, "")
        parts.append(text)
    return "\n".join(parts)
