"""What a server can be told, in one frozen value."""

from __future__ import annotations

import ipaddress
import math
import socket
from dataclasses import dataclass, field
from pathlib import Path

from surfacedefect._checks import check_whole, expect, is_number, is_whole
from surfacedefect.errors import OptionError
from surfacedefect.options import MEBIBYTE

MODEL_NAME = "surfacedefect"
LEAST_TOKEN_LETTERS = 16


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of a server.

    Parameters
    ----------
    host
        Name or address to listen on. What is not this machine alone needs a `token`, or `insecure`.
    http_port, grpc_port
        Ports of REST and gRPC; 0 takes a free one.
    token
        What a client must show as ``Authorization: Bearer TOKEN``, at least 16 printable ASCII characters; None asks
        for nothing.
    insecure
        Listen beyond this machine although there is no token: for a network that is closed by other means.
    tls_cert, tls_key
        Certificate chain and key, PEM files, for both protocols; both or neither.
    max_request_bytes
        Largest request, in bytes: a raw 4096 x 3000 tensor is 36.9 MB.
    max_scan_bytes
        Largest scan that comes as a stream, in bytes; it goes to the disk, not to memory.
    max_pixels
        Most pixels of a scan. Unlike that of `DetectOptions` it holds for pictures that stream, too.
    queue_length
        Requests that may wait; one more is refused at once.
    workers
        Requests that are worked on at a time, each in a thread of its own; their windows share one engine.
    batch
        Most windows that the engine looks at together, of one request or of several; None: 1 on a CPU, 8 on a GPU.
    deadline_seconds
        Longest time from a request's arrival to its answer, waiting included; a client may ask for less.
    grace_seconds
        How long accepted requests may go on after SIGTERM.
    drain_seconds
        How long after SIGTERM new requests still get an answer, a refusal, before the sockets close.

    Raises
    ------
    OptionError
        A value is out of its range, or the host is open to others without a token.

    Examples
    --------
    >>> ServeOptions(http_port=9000).host
    '127.0.0.1'
    >>> ServeOptions(host="0.0.0.0")
    Traceback (most recent call last):
        ...
    surfacedefect.errors.OptionError: host '0.0.0.0' can be reached from other machines and there is no token; ...
    """

    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int = 8081
    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    max_request_bytes: int = 64 * MEBIBYTE
    max_scan_bytes: int = 1024 * MEBIBYTE
    max_pixels: int = 250_000_000
    queue_length: int = 16
    workers: int = 2
    batch: int | None = None
    deadline_seconds: float = 300.0
    grace_seconds: float = 60.0
    drain_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Check what can be checked without opening a socket."""
        for name in ("http_port", "grpc_port"):
            check_whole(name, getattr(self, name), 0, 65535)
        same = self.http_port == self.grpc_port != 0
        expect(not same, "grpc_port", self.grpc_port, "another port than http_port")
        # The message limit of gRPC is a 32-bit number.
        check_whole("max_request_bytes", self.max_request_bytes, 1024, 2**31 - 1)
        check_whole("max_scan_bytes", self.max_scan_bytes, 1024, 2**40)
        check_whole("max_pixels", self.max_pixels, 1, 10**12)
        check_whole("queue_length", self.queue_length, 0, 10_000)
        check_whole("workers", self.workers, 1, 256)
        good = self.batch is None or (is_whole(self.batch) and 1 <= self.batch <= 1024)
        expect(good, "batch", self.batch, "a whole number from 1 to 1,024")
        for name, least in (("deadline_seconds", 0.001), ("grace_seconds", 0.0), ("drain_seconds", 0.0)):
            value = getattr(self, name)
            good = is_number(value) and least <= value <= 86_400 and math.isfinite(value)
            expect(good, name, value, f"a number of seconds from {least:g} to 86,400")
        self._check_token()
        self._check_files()
        self._check_reach()

    def _check_token(self) -> None:
        token = self.token
        if token is None:
            return
        # Never the token itself in a message: messages end in logs.
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise OptionError("the token holds spaces or what is not printable ASCII; expected letters and digits")
        if len(token) < LEAST_TOKEN_LETTERS:
            raise OptionError(
                f"the token has {len(token)} characters; expected {LEAST_TOKEN_LETTERS} or more. "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
            )

    def _check_files(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise OptionError("only one of tls_cert and tls_key is given; expected both, or neither")
        for name in ("tls_cert", "tls_key"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise OptionError(f"{name} is '{path}', where there is no file; expected a PEM file")

    def _check_reach(self) -> None:
        if not isinstance(self.host, str) or not self.host.strip():
            raise OptionError(f"host is {self.host!r}; expected a name or an address, such as '127.0.0.1'")
        if self.token is None and not self.insecure and not is_loopback(self.address):
            raise OptionError(
                f"host {self.host!r} can be reached from other machines and there is no token; expected a token, a "
                "host of this machine alone such as '127.0.0.1', or insecure=True (--insecure) on a closed network"
            )

    @property
    def address(self) -> str:
        """The IP address of `host`; both servers listen on that one.

        Raises
        ------
        OptionError
            The name is not known.
        """
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise OptionError(
                f"host is {self.host!r}, which cannot be looked up ({error}); expected one of this machine's"
            ) from error
        addresses = [str(entry[4][0]) for entry in found]
        return next((address for address in addresses if "." in address), addresses[0])

    @property
    def uses_tls(self) -> bool:
        """Whether both protocols are encrypted."""
        return self.tls_cert is not None


def is_loopback(address: str) -> bool:
    """Say whether an IP address can be reached from this machine alone.

    Examples
    --------
    >>> [is_loopback(address) for address in ("127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "192.168.0.1")]
    [True, True, True, False, False, False]
    """
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
