"""Fetches public data sets: resumable download, checksum, safe extraction. Standard library only."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgebnn.errors import UsageError

Progress = Callable[[str, int, int | None], None]
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Archive:
    """A .tar.gz of a data set: where it is, the SHA-256 of the file, and a path that it must hold."""

    name: str
    url: str
    sha256: str
    marker: str


# Google Speech Commands v0.02 (Warden 2018, CC BY 4.0), 2.3 GB; the checksum is the one torchaudio pins.
SPEECH_COMMANDS = Archive(
    name="Speech Commands v0.02",
    url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    marker="yes",
)


def fetch(
    archive: Archive,
    folder: Path,
    progress: Progress | None = None,
    keep: bool = False,
    timeout: float = 30.0,
) -> Path:
    """Downloads ``archive`` into ``folder`` and extracts it there; returns ``folder``.

    A download that was cut off is resumed (HTTP Range) from ``<file>.part``. Nothing is extracted before
    the checksum is right, and ``folder`` gets its contents only when all of them are. Does nothing where
    the data is already there. ``progress(what, done bytes, total bytes or None)`` is called meanwhile;
    ``keep`` keeps the archive file. Raises UsageError: no network, a server's refusal, a wrong checksum,
    an unsafe archive, no space.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, not a folder", hint="choose another folder")
    if (folder / archive.marker).is_dir():
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / archive.url.rsplit("/", 1)[-1]
        if not file.is_file():
            _download(archive.url, file, progress, timeout)
        _check(archive, file, progress)
        _extract(file, folder, progress)
        if not (folder / archive.marker).is_dir():
            raise UsageError(f"{file}: holds no folder {archive.marker!r}", hint="is it the right archive?")
        if not keep:
            file.unlink()
    except OSError as error:
        place = error.filename or folder
        raise UsageError(
            f"{place}: {error.strerror or error}", hint="check free space and permissions"
        ) from None
    return folder


def _download(url: str, file: Path, progress: Progress | None, timeout: float) -> None:
    """``url`` to ``file`` through ``file.part``, which a later call goes on with."""
    part = file.with_name(file.name + ".part")
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    resumable = "run the command again: it goes on where it stopped"
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            if start and (response.status != 206 or not _range_starts_at(response, start)):
                start = 0  # the server sends the whole file
            length = response.headers.get("Content-Length")
            total = start + int(length) if length else None
            done = start
            with part.open("ab" if start else "wb") as out:
                while chunk := response.read(_CHUNK):
                    out.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress("download", done, total)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise UsageError(
                f"{url}: the server answers {error.code} {error.reason}", hint="try again later"
            ) from None
        # 416: the partial file already reaches the end; the checksum decides whether it is right.
        total, done = start, start
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(f"{url}: download failed ({reason})", hint=resumable) from None
    if total is not None and done != total:
        raise UsageError(f"{url}: the download stopped at {done} of {total} bytes", hint=resumable)
    os.replace(part, file)


def _range_starts_at(response: http.client.HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _check(archive: Archive, file: Path, progress: Progress | None) -> None:
    """Compares the file's SHA-256; a wrong file is removed, so that the next call fetches it anew."""
    digest, done, size = hashlib.sha256(), 0, file.stat().st_size
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress("checksum", done, size)
    if digest.hexdigest() != archive.sha256:
        file.unlink()
        raise UsageError(f"{file}: wrong checksum, removed", hint="run the command again to fetch it anew")


def _extract(file: Path, folder: Path, progress: Progress | None) -> None:
    """Regular files and folders of a .tar.gz into ``folder``, through a folder beside that is renamed
    into place.
    """
    fresh = Path(tempfile.mkdtemp(prefix=".extract-", dir=folder))
    try:
        size = file.stat().st_size
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as tar:
            for member in tar:
                _extract_member(file, tar, member, fresh)
                if progress:
                    progress("extract", raw.tell(), size)
        for path in sorted(fresh.iterdir()):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        raise UsageError(
            f"{file}: damaged archive ({error})", hint="remove it and run the command again"
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _extract_member(file: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file or folder; links and devices, and names that lead out of ``folder``, are refused."""
    parts = [part for part in Path(member.name).parts if part != "."]
    if Path(member.name).is_absolute() or ".." in parts or not (member.isdir() or member.isfile()):
        raise UsageError(f"{file}: unsafe entry {member.name!r}", hint="this is not the published archive")
    path = folder.joinpath(*parts)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, path.open("wb") as out:
        shutil.copyfileobj(source, out, _CHUNK)
