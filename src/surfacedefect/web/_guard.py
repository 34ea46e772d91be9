"""Who may talk to the page: host names, origins, the sign-in, and the headers that every answer carries.

A page on loopback is within reach of every other site that the inspector's browser has open. Such a site can send
requests (so whatever writes must come from the page itself) and can give its own name the address 127.0.0.1 (so the
`Host` header must be one of ours).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, make_response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from surfacedefect.errors import OptionError
from surfacedefect.web._sign_in import STYLE, sign_in_page

COOKIE = "surfacedefect-session"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_READS = ("GET", "HEAD", "OPTIONS")
_OPEN_PATHS = ("/sign-in", "/sign-in.css")
_PAGES = ("/", "/sign-in")
_DASH_PAGES = "/<path:path>"  # Dash answers every other address with its page


@dataclass(frozen=True, slots=True)
class Guard:
    """What requests are checked against.

    Attributes
    ----------
    hosts
        Names under which the page may be asked for, without port; None takes any, for a page with a token.
    addresses
        Whether it may be asked for under any IP address: no other site can give itself one.
    token
        What an inspector must type in before the page is shown; None asks for nothing.
    script_hashes
        ``'sha256-...'`` of the inline scripts that Dash writes into the page.
    secure
        Whether the page is reached over HTTPS, so that its cookie must be too.
    """

    hosts: frozenset[str] | None = frozenset(LOOPBACK_NAMES)
    addresses: bool = False
    token: str | None = None
    script_hashes: tuple[str, ...] = ()
    secure: bool = False
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def install(self, server: Flask) -> None:
        """Check every request of a Flask application, and put the headers on every answer."""
        server.before_request(self._refusal)
        server.after_request(self._with_headers)
        server.add_url_rule("/sign-in", "sign-in", self._sign_in, methods=["GET", "POST"])
        server.add_url_rule("/sign-in.css", "sign-in-style", lambda: Response(STYLE, mimetype="text/css"))

    def _refusal(self) -> AnyResponse | None:
        """Return what is answered instead, or None for a request that may go on."""
        host = _name(request.host)
        if not self._is_ours(host):
            ours = ", ".join(sorted(self.hosts or ()))
            return _refused(f"this page is not served under the name '{host[:80]}'; open it under {ours}")
        if request.method not in _READS and not _same_origin(request.headers.get("Origin"), request.host):
            return _refused("this request does not come from the page itself; reload the page and try again")
        if request.headers.get("Sec-Fetch-Site", "same-origin") in ("cross-site", "same-site") and not _is_navigation():
            return _refused("another site asked for this; it is for the page itself")
        if request.endpoint in (None, _DASH_PAGES):
            return _refused("there is nothing at this address", status=404)
        if self._must_sign_in():
            if request.path == "/":
                return redirect("/sign-in")
            return _refused("not signed in; reload the page and type in the token", status=401)
        return None

    def _is_ours(self, host: str) -> bool:
        return self.hosts is None or host in self.hosts or (self.addresses and _is_address(host))

    def _must_sign_in(self) -> bool:
        if self.token is None or request.path in _OPEN_PATHS:
            return False
        return not hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self.session.encode())

    def _sign_in(self) -> AnyResponse:
        if request.method == "GET" or self.token is None:
            return make_response(sign_in_page())
        typed = request.form.get("token", "")[:4096].strip()
        if not hmac.compare_digest(typed.encode(), self.token.encode()):
            return make_response(sign_in_page(wrong=True), 401)
        answer = redirect("/", code=303)
        answer.set_cookie(COOKIE, self.session, httponly=True, samesite="Strict", secure=self.secure, path="/")
        return answer

    def _with_headers(self, answer: Response) -> Response:
        answer.headers.update(
            {
                "Content-Security-Policy": self.policy,
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Referrer-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            }
        )
        if request.path.startswith("/assets/") and "m" in request.args:
            # Dash puts the time of the file's last change into the address.
            answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    @property
    def policy(self) -> str:
        """The Content-Security-Policy: own files alone, and no script that is not in a file or known by its hash.

        Dash's renderer and Leaflet write styles into the page, hence 'unsafe-inline' for those, and for those alone.
        """
        rules = {
            "default-src": "'none'",
            "script-src": " ".join(("'self'", *self.script_hashes)),
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data: blob:",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        return "; ".join(f"{name} {value}" for name, value in rules.items())


def host_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names that a `Host` header may have: those of loopback and the given ones, in small letters.

    Raises
    ------
    OptionError
        They are no names, or one is empty: a header that is malformed has that name.

    Examples
    --------
    >>> sorted(host_names(["Bay-3.example"]))
    ['127.0.0.1', '::1', 'bay-3.example', 'localhost']
    """
    given = [names] if isinstance(names, str | bytes) or not isinstance(names, Iterable) else list(names)
    plain = [name.strip().lower().strip("[]") if isinstance(name, str) else "" for name in given]
    if isinstance(names, str) or not all(plain):
        raise OptionError(f"hosts is {names!r}; expected a list of names, such as ['bay-3.example'], or None for any")
    return frozenset((*LOOPBACK_NAMES, *plain))


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine alone.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "bay-3")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """Return the name in a `Host` header, without its port; empty for one that is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _same_origin(origin: str | None, host: str) -> bool:
    """Browsers send `Origin` with all that writes; a program such as curl, which no site can steer, does not."""
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _is_navigation() -> bool:
    return request.method == "GET" and request.path in _PAGES and request.headers.get("Sec-Fetch-Mode") == "navigate"


def _refused(why: str, status: int = 403) -> Response:
    answer = jsonify(error=why)
    answer.status_code = status
    return answer
