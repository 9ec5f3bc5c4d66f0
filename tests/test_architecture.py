"""Promises of DESIGN.md about imports: they run one way only, and torch is imported only where it may be."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edgebnn.csrc import kernels_dir

ROOT = Path(__file__).resolve().parent.parent

# A package may import packages of its own rank or below; packages of one rank not each other in a circle.
RANKS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("csrc", "frontend", "targets"),
    ("ir",),
    ("passes",),
    ("plan",),
    ("emit", "host"),
    ("bench", "converters", "data", "device", "estimate", "models", "report", "search", "train"),
    ("cli", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
TORCH_ALLOWED = (
    "edgebnn/train/",
    "edgebnn/bench/contender.py",
    "edgebnn/bench/peers.py",
    "edgebnn/models/",
    "converters/from_torch.py",
)


def python_files(root: Path) -> list[Path]:
    """The product's Python files below ``root``; converters counts once, at its real place."""
    return sorted(
        path
        for tree in ("edgebnn", "converters")
        for path in (root / tree).rglob("*.py")
        if "edgebnn/converters" not in path.relative_to(root).as_posix()
    )


def package_of(path: str) -> str:
    """The unit of the import order that a file belongs to, '' for edgebnn/__init__.py itself."""
    parts = Path(path).with_suffix("").parts
    if parts[0] == "converters":
        return "converters"
    return "" if parts[1] == "__init__" else parts[1]


def imports(path: Path, module: str) -> list[str]:
    """Absolute names of all modules a file imports, also in functions and TYPE_CHECKING blocks."""
    found = []
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*parts, base]).rstrip(".")
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def module_name(path: str) -> str:
    parts = list(Path(path).with_suffix("").parts)
    if parts[0] == "converters":
        parts.insert(0, "edgebnn")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def edges(root: Path) -> dict[str, set[tuple[str, str]]]:
    """For each package: the packages it imports, with the file that does."""
    result: dict[str, set[tuple[str, str]]] = {}
    for path in python_files(root):
        name = path.relative_to(root).as_posix()
        source = package_of(name)
        for module in imports(path, module_name(name)):
            parts = module.split(".")
            if parts[0] == "edgebnn" and len(parts) > 1 and parts[1] not in (source, "__version__"):
                result.setdefault(source, set()).add((parts[1], name))
    return result


def violations(root: Path) -> list[str]:
    """Every import against the order, and every circle of packages of one rank."""
    graph = edges(root)
    bad = []
    for source, targets in graph.items():
        for target, name in sorted(targets):
            if target not in RANK:
                continue  # a name imported from edgebnn itself, not a package
            if RANK[target] > RANK.get(source, -1):
                bad.append(f"{name} imports edgebnn.{target}, which stands above {source or 'edgebnn'}")
    for start in graph:
        reach, todo = set(), [start]
        while todo:
            for target, _ in graph.get(todo.pop(), ()):
                if target not in reach:
                    reach.add(target)
                    todo.append(target)
        if start in reach:
            bad.append(f"edgebnn.{start} imports itself through other packages")
    return bad


def torch_users(root: Path) -> list[str]:
    """Files that import torch, also inside functions."""
    return [
        path.relative_to(root).as_posix()
        for path in python_files(root)
        if any(module.split(".")[0] == "torch" for module in imports(path, "x.y"))
    ]


def test_every_package_has_a_rank() -> None:
    packages = {package_of(path.relative_to(ROOT).as_posix()) for path in python_files(ROOT)} - {""}
    assert packages <= set(RANK), "add new packages to the order here and in DESIGN.md"


def test_imports_run_one_way() -> None:
    assert violations(ROOT) == []


def test_torch_stays_in_its_place() -> None:
    users = torch_users(ROOT)
    assert [name for name in users if not name.startswith(TORCH_ALLOWED)] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("edgebnn/ir/graph.py", "from edgebnn.passes import lower"),
        ("edgebnn/ir/graph.py", "from ..plan import plan"),
        ("edgebnn/plan/memory.py", "def f() -> None:\n    import edgebnn.host"),
        ("edgebnn/frontend/__init__.py", "from edgebnn import ir"),
        ("converters/__init__.py", "from edgebnn.cli import main"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert len(violations(tmp_path)) == 1


def test_a_planted_circle_and_torch_are_found(tmp_path: Path) -> None:
    planted = {"report": "from edgebnn import device", "device": "import edgebnn.report, torch.nn"}
    for name, text in planted.items():
        (tmp_path / "edgebnn" / name).mkdir(parents=True)
        (tmp_path / "edgebnn" / name / "__init__.py").write_text(text)
    assert len(violations(tmp_path)) == 2
    assert torch_users(tmp_path) == ["edgebnn/device/__init__.py"]


def test_c_includes_need_no_search_path_but_include() -> None:
    """A user compiles the listed sources with -I include and nothing else."""
    root = kernels_dir()
    for path in sorted(root.rglob("*.[ch]")):
        for name in re.findall(r'#include "([^"]+)"', path.read_text()):
            found = (path.parent / name).exists() or (root / "include" / name).exists()
            assert found, f"{path.relative_to(root)} includes {name}"
