"""The data set download against a server on this machine: resume, checksum, unsafe archives, refusals."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgebnn.data import Archive, fetch
from edgebnn.errors import UsageError


class Server:
    """Serves one file at /data.tar.gz; ``cut`` ends the next answers after so many bytes, ``ranges``
    honours Range.
    """

    def __init__(self) -> None:
        self.content = b""
        self.cut: int | None = None
        self.ranges = True
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                outer.requests.append(wanted)
                if self.path != "/data.tar.gz":
                    self.send_error(404)
                    return
                start = int(wanted[6:-1]) if wanted and outer.ranges else 0
                if start >= len(outer.content):
                    self.send_error(416)
                    return
                body = outer.content[start:]
                self.send_response(206 if start else 200)
                if start:
                    end = len(outer.content)
                    self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if outer.cut is None else body[: outer.cut])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def archive(self, path: str = "data.tar.gz") -> Archive:
        url = f"http://127.0.0.1:{self.http.server_address[1]}/{path}"
        return Archive("test data", url, hashlib.sha256(self.content).hexdigest(), "yes")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def tar_gz(entries: dict[str, bytes], **links: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


GOOD = {
    "./yes/a_nohash_0.wav": bytes(range(256)) * 40,
    "./no/b_nohash_0.wav": b"b" * 99,
    "./README.md": b"hi",
}


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download_and_extract(server: Server, tmp_path: Path) -> None:
    server.content = tar_gz(GOOD)
    steps: list[str] = []
    fetch(server.archive(), tmp_path / "d", lambda what, done, total: steps.append(what))
    assert (tmp_path / "d/yes/a_nohash_0.wav").read_bytes() == GOOD["./yes/a_nohash_0.wav"]
    assert leftovers(tmp_path / "d") == ["README.md", "no", "yes"]
    assert list(dict.fromkeys(steps)) == ["download", "checksum", "extract"]
    fetch(server.archive(), tmp_path / "d")
    assert len(server.requests) == 1, "data that is there is not fetched again"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.content, server.cut, server.ranges = tar_gz(GOOD), 200, ranges
    with pytest.raises(UsageError, match=r"stopped at 200 of|download failed") as caught:
        fetch(server.archive(), tmp_path)
    assert "again" in (caught.value.hint or "")
    assert leftovers(tmp_path) == ["data.tar.gz.part"]
    server.cut = None
    fetch(server.archive(), tmp_path, keep=True)
    assert server.requests == ["", "bytes=200-"]
    assert (tmp_path / "data.tar.gz").read_bytes() == server.content
    assert (tmp_path / "no/b_nohash_0.wav").read_bytes() == b"b" * 99


def test_a_complete_partial_file_is_taken(server: Server, tmp_path: Path) -> None:
    server.content = tar_gz(GOOD)
    (tmp_path / "data.tar.gz.part").write_bytes(server.content)
    fetch(server.archive(), tmp_path)
    assert (tmp_path / "yes").is_dir()


def test_wrong_checksum_is_refused_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.content = tar_gz(GOOD)
    archive = server.archive()
    server.content = tar_gz({**GOOD, "./README.md": b"changed"})
    with pytest.raises(UsageError, match="wrong checksum"):
        fetch(archive, tmp_path)
    assert leftovers(tmp_path) == []
    server.content = tar_gz(GOOD)
    fetch(server.archive(), tmp_path)
    assert (tmp_path / "README.md").read_bytes() == b"hi"


@pytest.mark.parametrize(
    "content",
    [
        tar_gz({"yes/a.wav": b"a", "../evil": b"e"}),
        tar_gz({"yes/a.wav": b"a", "/evil": b"e"}),
        tar_gz({"yes/a.wav": b"a"}, link="/etc/passwd"),
        tar_gz(GOOD)[:150],
        b"not an archive",
        tar_gz({"other/a.wav": b"a"}),
    ],
    ids=["parent", "absolute", "link", "cut", "text", "other"],  # archives hold the time: no names for a test
)
def test_bad_archives_are_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    folder = tmp_path / "inner" / "d"
    with pytest.raises(UsageError) as caught:
        fetch(server.archive(), folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "yes").exists()
    assert not (tmp_path / "inner" / "evil").exists() and not (folder / "evil").exists()


def test_refusals(server: Server, tmp_path: Path) -> None:
    server.content = tar_gz(GOOD)
    with pytest.raises(UsageError, match="404"):
        fetch(server.archive("missing.tar.gz"), tmp_path / "a")
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(UsageError, match="download failed"):
        fetch(server.archive(), tmp_path / "b")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        fetch(server.archive(), tmp_path / "file")
