"""Builds ``edgebnn.host._ebnn``: the run loop and every kernel that this processor can run, for cffi.

Run by setuptools (setup.py). Kernels of other processors' instruction sets compile here through plain-C twins of their
intrinsics where they have them (cortex_m), and are left out where not (mve, neon on x86).
"""

from __future__ import annotations

import platform
import re
import runpy
import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "cmsis_kernels"
X86 = platform.machine().lower() in ("x86_64", "amd64")
AARCH64 = platform.machine().lower() in ("aarch64", "arm64")
#: source folders and kernels.def ISA names built for this machine
FOLDERS = (
    ["portable", "core", "cortex_m0", "cortex_m"]
    + (["avx2", "avx512", "avx512_icl"] if X86 else [])
    + (["neon"] if AARCH64 else [])
)
ISAS = (
    ["portable", "word64", "cortex_m0", "thumb2", "cortex_m4"]
    + (["avx2", "avx512", "avx512_icl"] if X86 else [])
    + (["neon"] if AARCH64 else [])
)
ALL_ISAS = [
    "portable",
    "word64",
    "cortex_m0",
    "thumb2",
    "cortex_m4",
    "mve",
    "neon",
    "avx2",
    "avx512",
    "avx512_icl",
]

_cdefs = runpy.run_path(str(Path(__file__).with_name("cdefs.py")))

#: POSIX threads: the pool of Runtime(plan, threads)
THREADS = sys.platform != "win32"

_sources = [KERNELS / "src" / name for name in ("ebnn_run.c", *(["ebnn_threads.c"] if THREADS else []))] + [
    p for f in FOLDERS for p in sorted((KERNELS / "src" / f).glob("*.c"))
]
_folders = [KERNELS / "include"] + [KERNELS / "src" / f for f in FOLDERS]


def _built(declarations: str) -> str:
    """Without the functions that no source compiled here defines (those of other processors' kernels)."""
    code = "".join(p.read_text() for f in _folders[1:] for p in sorted(f.glob("*.[ch]")))
    code += "".join(p.read_text() for p in _sources)
    defined = set(re.findall(r"\b(ebnn_\w+)\s*\(", code))
    prototype = re.compile(r"^\w[\w \*]*?\b(ebnn_\w+)\([^()]*\);", re.MULTILINE)
    return prototype.sub(lambda m: m[0] if m[1] in defined else "", declarations)


ffibuilder = FFI()
ffibuilder.cdef(
    _built(_cdefs["cdef"](KERNELS, _sources))
    + """
typedef struct { const char *symbol; const char *isa; ebnn_kernel_t kernel; } ebnn_host_kernel_t;
extern const ebnn_host_kernel_t ebnn_host_kernels[];
extern const uint32_t ebnn_host_kernel_count;
"""
)
if THREADS:
    ffibuilder.cdef("""
typedef struct { ...; } ebnn_pool_t;
ebnn_status_t ebnn_pool_start(ebnn_pool_t *pool, uint32_t threads);
void ebnn_pool_stop(ebnn_pool_t *pool);
ebnn_status_t ebnn_run_parallel(ebnn_pool_t *pool, const ebnn_model_t *model, const ebnn_split_t *splits,
                                void *arena, size_t arena_size);
""")


def _source() -> str:
    present = "\n".join(f"#define EBNN_IF_{isa}(x) {'x' if isa in ISAS else ''}" for isa in ALL_ISAS)
    names = [*_cdefs["headers"](KERNELS), *(["ebnn_threads.h"] if THREADS else [])]
    includes = "\n".join(f'#include "{name}"' for name in names)
    return f"""
{includes}
#include "ebnn_kernels.h"
{present}
typedef struct {{ const char *symbol; const char *isa; ebnn_kernel_t kernel; }} ebnn_host_kernel_t;
#define EBNN_KERNEL(symbol, op, isa, params) EBNN_IF_##isa({{#symbol COMMA #isa COMMA symbol}} COMMA)
#define COMMA ,
const ebnn_host_kernel_t ebnn_host_kernels[] = {{
#include "../kernels.def"
    {{0, 0, 0}}
}};
const uint32_t ebnn_host_kernel_count = sizeof(ebnn_host_kernels) / sizeof(ebnn_host_kernels[0]) - 1;
"""


_flags = ["/O2"] if sys.platform == "win32" else ["-O3", "-std=gnu99", "-fno-strict-aliasing"]

ffibuilder.set_source(
    "edgebnn.host._ebnn",
    _source(),
    sources=[str(p.relative_to(ROOT)) for p in _sources],
    include_dirs=[str(p.relative_to(ROOT)) for p in _folders],
    depends=[str(p.relative_to(ROOT)) for p in sorted(KERNELS.rglob("*.[hd]*")) if p.is_file()],
    extra_compile_args=_flags,
    extra_link_args=["-pthread"] if THREADS else [],
)

if __name__ == "__main__":
    ffibuilder.compile(tmpdir=str(ROOT), verbose=True)
