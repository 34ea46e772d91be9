"""A small WebDAV server on loopback that can be slow, drop connections and count what it sends."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape


@dataclass
class Faults:
    """How the server misbehaves."""

    drop_after_bytes: int | None = None  # every drop_each-th answer breaks off after so many bytes
    drop_each: int = 3
    bytes_per_s: float | None = None  # of each connection
    ranges: bool = True
    etags: bool = True
    busy_each: int = 0  # every so-many-th request is refused with 503
    credentials: str | None = None  # what the header Authorization must be
    silent: set[str] = field(default_factory=set)  # paths that are refused always


class Server:
    """Serves a folder; `sent` has (path, first byte, bytes sent, whether to the end) for every GET."""

    url: str

    def __init__(self, folder: Path) -> None:
        self.folder, self.faults = folder, Faults()
        self.sent: list[tuple[str, int, int, bool]] = []
        self.requests = 0
        self.lock = threading.Lock()

    def paths_sent(self) -> list[str]:
        return [path for path, *_ in self.sent]

    def status(self, path: str, *, authorization: str | None) -> int:
        """Status of a refusal, 0 for none."""
        with self.lock:
            self.requests += 1
            busy = self.faults.busy_each and self.requests % self.faults.busy_each == 0
        if self.faults.credentials and authorization != self.faults.credentials:
            return 401
        return 503 if busy or path in self.faults.silent else 0

    def pieces(self, path: str, body: Iterable[bytes], *, start: int) -> Iterator[bytes]:
        """Body of an answer as it is sent: slowly, or cut, and counted."""
        faults, sent, ended = self.faults, 0, False
        with self.lock:
            number = len(self.sent)
            self.sent.append((path, start, 0, False))
        drops = faults.drop_after_bytes is not None and number % faults.drop_each == 0
        limit = faults.drop_after_bytes if drops and faults.drop_after_bytes is not None else sys.maxsize
        try:
            for chunk in body:
                for at in range(0, len(chunk), 8192):
                    piece = chunk[at : at + 8192][: limit - sent]
                    yield piece
                    sent += len(piece)
                    if faults.bytes_per_s:
                        time.sleep(len(piece) / faults.bytes_per_s)
                    if sent == limit:
                        raise ConnectionAbortedError
            ended = True
        finally:
            self.sent[number] = (path, start, sent, ended)

    def stop(self) -> None:
        raise NotImplementedError


class WebdavServer(Server):
    """On Python's own server, with the little of WebDAV that a reader needs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed
        self.url = f"webdav://127.0.0.1:{self._server.server_address[1]}/share"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class WsgidavServer(Server):
    """On wsgidav, as many use it."""

    def __init__(self, folder: Path) -> None:
        from cheroot import wsgi
        from wsgidav.wsgidav_app import WsgiDAVApp

        super().__init__(folder)
        self._app = WsgiDAVApp(
            {
                "provider_mapping": {"/share": str(folder)},
                "simple_dc": {"user_mapping": {"*": True}},
                "logging": {"enable": False},
                "verbose": 0,
            }
        )
        self._server = wsgi.Server(("127.0.0.1", 0), self._answer, numthreads=8)
        self._server.error_log = lambda *_, **__: None
        self._server.prepare()
        self.url = f"webdav://127.0.0.1:{self._server.bind_addr[1]}/share"
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode().removeprefix("/share").strip("/")
        if status := self.status(path, authorization=environ.get("HTTP_AUTHORIZATION")):
            start_response(f"{status} refused", [("Content-Length", "0")])
            return [b""]
        told: list[str] = []

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            told.append(status)
            return start_response(status, headers, exc_info)

        body = self._app(environ, start)
        if environ["REQUEST_METHOD"] != "GET":
            return body
        first = environ.get("HTTP_RANGE", "").removeprefix("bytes=").rstrip("-")
        return self._sent(path, body, told=told, first=int(first or 0))

    def _sent(self, path: str, body: Iterable[bytes], *, told: list[str], first: int) -> Iterator[bytes]:
        # The status is known when the first piece is asked for, not before.
        rest = iter(body)
        beginning = next(rest, b"")
        start = first if told and told[0].startswith("206") else 0
        yield from self.pieces(path, itertools.chain([beginning], rest), start=start)

    def stop(self) -> None:
        self._server.stop()
        self._thread.join()


def _handler(server: WebdavServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def place(self) -> tuple[str, Path]:
            name = unquote(self.path).removeprefix("/share").strip("/")
            return name, server.folder / name

        def refused(self) -> bool:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            name, path = self.place()
            status = server.status(name, authorization=self.headers.get("Authorization"))
            status = status or (0 if path.exists() else 404)
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            return bool(status)

        def do_PROPFIND(self) -> None:
            if self.refused():
                return
            name, folder = self.place()
            base = "/share/" + (name + "/" if name else "")
            rows = [_row(base, folder, etags=False)]
            for path in sorted(folder.iterdir()):
                rows.append(_row(base + path.name, path, etags=server.faults.etags))
            body = f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{"".join(rows)}</D:multistatus>'.encode()
            self.send_response(207)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.refused():
                return
            name, path = self.place()
            data, start = path.read_bytes(), 0
            etag, asked = _etag(path), self.headers.get("Range", "")
            if asked and server.faults.ranges and self.headers.get("If-Range", etag) == etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            if server.faults.etags:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            try:
                for piece in server.pieces(name, [data[start:]], start=start):
                    self.wfile.write(piece)
            except OSError:
                self.close_connection = True

    return Handler


def _row(href: str, path: Path, *, etags: bool) -> str:
    about = path.stat()
    kind = "<D:resourcetype><D:collection/></D:resourcetype>" if path.is_dir() else "<D:resourcetype/>"
    size = "" if path.is_dir() else f"<D:getcontentlength>{about.st_size}</D:getcontentlength>"
    etag = f"<D:getetag>{escape(_etag(path))}</D:getetag>" if etags and path.is_file() else ""
    changed = f"<D:getlastmodified>{formatdate(about.st_mtime, usegmt=True)}</D:getlastmodified>"
    inner = f"<D:propstat><D:prop>{kind}{size}{etag}{changed}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
    return f"<D:response><D:href>{quote(os.fsencode(href))}</D:href>{inner}</D:response>"


def _etag(path: Path) -> str:
    about = path.stat()
    return '"' + hashlib.sha256(f"{path} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()[:16] + '"'
