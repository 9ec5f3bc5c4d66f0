"""What a user gets: the package list, and a wheel made from the sdist that works far from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgebnn.targets import tomllib

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "examples" / "kws" / "kws.pt"


def test_pyproject_lists_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"edgebnn.csrc.cmsis_kernels", "edgebnn.csrc.firmware"}
    for tree, prefix in (("edgebnn", "edgebnn"), ("converters", "edgebnn.converters")):
        for path in (ROOT / tree).rglob("*.py"):
            parts = path.relative_to(ROOT / tree).parent.parts
            if parts[:1] != ("converters",):
                found.add(".".join((prefix, *parts)))
    assert sorted(settings["packages"]) == sorted(found)


def build(command: str, source: Path, out: Path) -> Path:
    """Runs a PEP 517 hook of setuptools in ``source`` without isolation, so that nothing is downloaded."""
    code = f"import sys, setuptools.build_meta as b; print(b.{command}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist of a clean copy of the checkout."""
    work = tmp_path_factory.mktemp("dist")
    copy = work / "checkout"
    ignore = shutil.ignore_patterns(
        ".git", ".venv*", "build", "dist", "*.egg-info", "*.so", "_ebnn.c", "runs", ".*_cache"
    )
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignore)
    sdist = build("build_sdist", copy, work)
    shutil.unpack_archive(sdist, work / "unpacked")
    (source,) = (work / "unpacked").iterdir()
    return build("build_wheel", source, work)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment that holds the wheel and, besides, sees the dependencies of this one."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=False)
    (site,) = home.glob("lib/python*/site-packages")
    python = home / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
    )
    # A folder named in a .pth file is searched, but its own .pth files (an editable edgebnn) are not read.
    import numpy

    (site / "dependencies.pth").write_text(f"{Path(numpy.__file__).resolve().parent.parent}\n")
    return home


def run(home: Path, cwd: Path, program: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """A program of the environment, in a folder away from the checkout and without this shell's PYTHONPATH."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(home / "bin" / program), *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def edgebnn(home: Path, cwd: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """The wheel's console script."""
    return run(home, cwd, "edgebnn", *args)


def test_wheel_holds_the_c_trees_and_targets(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "edgebnn/csrc/cmsis_kernels/include/ebnn.h" in names
    assert "edgebnn/csrc/cmsis_kernels/kernels.def" in names
    assert "edgebnn/csrc/firmware/SConstruct" in names
    assert "edgebnn/targets/cortex-m4.toml" in names
    assert "edgebnn/converters/__init__.py" in names
    for tree in ("cmsis_kernels", "firmware"):
        done = subprocess.run(
            ["git", "ls-files", tree], cwd=ROOT, capture_output=True, text=True, check=False
        )
        tracked = [name for name in done.stdout.split() if not name.endswith(".md")]
        assert [name for name in tracked if f"edgebnn/csrc/{name}" not in names] == []
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edgebnn"}
    assert not [name for name in names if name.endswith((".o", ".pyc", "_ebnn.c"))]


def test_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    code = (
        "import edgebnn.converters, edgebnn.csrc as c; "
        "print(edgebnn.converters.__file__, c.kernels_dir(), c.firmware_dir())"
    )
    done = run(installed, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert all(Path(path).is_relative_to(installed) for path in done.stdout.split())


@pytest.mark.slow
def test_wheel_converts_compiles_and_runs(installed: Path, tmp_path: Path) -> None:
    shutil.copy(MODEL, tmp_path)
    done = edgebnn(installed, tmp_path, "convert", "kws.pt", "--target", "cortex-m4", "-o", "out")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())

    x = np.zeros(report["input"]["shape"], np.int8)
    np.save(tmp_path / "x.npy", x)
    done = edgebnn(installed, tmp_path, "run", "out", "x.npy", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["scores"]) == 12

    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    (kernels,) = installed.glob("lib/python*/site-packages/edgebnn/csrc/cmsis_kernels")
    sources = [tmp_path / "out" / f"{report['name']}.c", *(kernels / name for name in report["sources"])]
    flags = ["-mcpu=cortex-m4", "-mthumb", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"]
    for source in sources:
        subprocess.run(
            [
                "arm-none-eabi-gcc",
                *flags,
                "-I",
                kernels / "include",
                "-c",
                source,
                "-o",
                tmp_path / f"{source.stem}.o",
            ],
            cwd=tmp_path,
            check=True,
        )


def test_setup_script_without_root_prints_the_command(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    script = ROOT / "scripts" / "setup-system.sh"
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([script, "sh", "no-such-tool"], env=env, capture_output=True, text=True, check=True)
    assert "sudo apt-get install --no-install-recommends no-such-tool\n" in done.stderr
    done = subprocess.run([script, "sh"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
