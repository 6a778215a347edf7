"""A real HTTP server on this machine that serves files, and misbehaves as it is told, one fault a request."""

import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one answer; `after`: bytes of the body that still come."""

    kind: Literal["cut", "reset", "stall", "status", "other_bytes"]
    after: int = 0
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass
class Page:
    """A file at a path."""

    data: bytes
    faults: list[Fault] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"one"'
    content_type: str | None = "application/octet-stream"
    length: Literal["stated", "chunked", "none"] = "stated"


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    protocol_version = "HTTP/1.1"
    server: "MisbehavingServer"

    def log_message(self, format: str, *values: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        with self.server.lock:
            self.server.requests.append((self.path, asked))
            page = self.server.pages.get(self.path)
            fault = page.faults.pop(0) if page is not None and page.faults else None
        self.close_connection = True
        if page is None:
            self._answer(404, b"no such page", {})
        elif fault is not None and fault.kind == "status":
            self._answer(fault.status, fault.body, dict(fault.headers))
        else:
            self._file(page, fault, asked)

    def _file(self, page: Page, fault: Fault | None, asked: str | None) -> None:
        data = fault.body if fault is not None and fault.kind == "other_bytes" else page.data
        headers = {}
        if page.content_type is not None:
            headers["Content-Type"] = page.content_type
        if page.etag is not None:
            headers["ETag"] = page.etag
        start, status = 0, 200
        condition = self.headers.get("If-Range")
        if asked is not None and page.ranges and condition in (None, page.etag):
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._answer(status, data[start:], headers, page.length, fault)

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        length: str = "stated",
        fault: Fault | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length == "stated":
            self.send_header("Content-Length", str(len(body)))
        if length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        kind = fault.kind if fault is not None else None
        sent = body[: fault.after] if fault is not None and kind in ("cut", "reset", "stall") else body
        if length == "chunked":
            sent = b"%x\r\n%s\r\n" % (len(sent), sent) if sent else b""
            sent += b"" if kind in ("cut", "reset", "stall") else b"0\r\n\r\n"
        self.wfile.write(sent)
        self.wfile.flush()
        if kind == "stall":
            self.server.released.wait(10)
        if kind == "reset":
            # Closing without lingering sends a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


class MisbehavingServer(ThreadingHTTPServer):
    """Pages by path, and every request (path, Range header) that was made."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()
        self.released = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away early is what is tested here."""

    def put(self, path: str, data: bytes, faults: Sequence[Fault] = (), **page: object) -> str:
        """Serve a file; return its address."""
        self.pages[path] = Page(data, list(faults), **page)  # type: ignore[arg-type]
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def __enter__(self) -> "MisbehavingServer":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()
