"""What the page asks its own process for: JSON, tiles, uploads and exports, over plain Flask routes.

The page's decisions do not go through Dash's callbacks, because those drop the answer of a call when the next one
starts: two quick key presses would be one. The page sends them one after the other instead (`assets/70_review.js`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from surfacedefect._files import without_nan
from surfacedefect.errors import ScanError, StaleReviewError, SurfaceDefectError, WebError
from surfacedefect.web._bodies import body, decision, flag, note, number, text, whole
from surfacedefect.web._turns import Turns

if TYPE_CHECKING:
    from surfacedefect.web.workspace import Workspace

_KEEP = "private, max-age=86400, immutable"


def make_routes(workspace: Workspace, *, max_upload_bytes: int) -> Blueprint:
    """Return the routes over a workspace.

    Parameters
    ----------
    workspace
        What is asked.
    max_upload_bytes
        Largest upload that is read at all; the workspace checks again while it writes.
    """
    routes = Blueprint("inspect", __name__)
    _add_reads(routes, workspace)
    _add_pictures(routes, workspace)
    _add_writes(routes, workspace)
    _add_upload(routes, workspace, max_upload_bytes)
    routes.register_error_handler(Exception, _answer_error)
    return routes


def _add_reads(routes: Blueprint, workspace: Workspace) -> None:
    turns = Turns()

    @routes.get("/api/state")
    def state() -> Response:
        scans = workspace.scans()
        running = {scan.name: workspace.progress(scan.name) for scan in scans if scan.state == "running"}
        chosen = request.args.get("scan", "")
        known = chosen and any(scan.name == chosen for scan in scans)
        return _json(
            server=workspace.server(),
            scans=scans,
            progress=running,
            review=_brief(workspace, chosen) if known else None,
        )

    @routes.get("/api/scan")
    def scan() -> Response:
        name = text(request.args, "scan")
        info, ready = workspace.info(name), workspace.prepare(name)
        return _json(entry=workspace.scan(name), info=info, ready=ready, review=workspace.review(name))

    @routes.get("/api/found")
    def found() -> Response:
        threshold = number(request.args, "threshold", least=0, most=1)
        name = text(request.args, "scan")
        with turns.taken(request.args.get("page", ""), number(request.args, "turn", least=0) or 0):
            outlines = workspace.found(name, threshold)
        return _json(outlines=outlines, measured=workspace.card_row(threshold, name=name), threshold=threshold)


def _add_pictures(routes: Blueprint, workspace: Workspace) -> None:
    @routes.get("/thumbnail")
    def thumbnail() -> AnyResponse:
        try:
            return _picture(workspace.thumbnail(text(request.args, "scan")), "image/jpeg")
        except ScanError:
            return Response(status=204)  # the list says what is wrong with it; there is no picture to show

    @routes.get("/tile/<layer>/<int:z>/<int:x>/<int:y>")
    def tile(layer: str, z: int, x: int, y: int) -> AnyResponse:
        kinds = request.args.get("kinds")
        made = workspace.tile(
            text(request.args, "scan"),
            layer,
            z,
            x,
            y,
            threshold=number(request.args, "threshold", least=0, most=1),
            palette=request.args.get("palette", "default"),
            kinds=tuple(kinds.split(",")) if kinds else None,
        )
        return _picture(made.data, made.mime, made.etag)

    @routes.get("/export/<what>")
    def export(what: str) -> Response:
        made = workspace.export(text(request.args, "scan"), what)
        answer = Response(made.data, mimetype=made.mime)
        answer.headers["Content-Disposition"] = _attachment(made.file_name)
        return answer


def _attachment(file_name: str) -> str:
    """Name a download as RFC 6266 has it: plainly for old programs, and encoded with every letter there is."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def _add_writes(routes: Blueprint, workspace: Workspace) -> None:
    @routes.post("/api/run")
    def run() -> Response:
        name = text(body(), "scan")
        workspace.run(name)
        return _json(entry=workspace.scan(name))

    @routes.post("/api/cancel")
    def cancel() -> Response:
        name = text(body(), "scan")
        workspace.cancel(name)
        return _json(entry=workspace.scan(name))

    @routes.post("/api/review/<action>")
    def review(action: str) -> Response:
        given = body()
        name, version = text(given, "scan"), whole(given, "version")
        if action == "decide":
            made = workspace.decide(name, decision(given), version=version)
        elif action in ("undo", "redo"):
            made = getattr(workspace, action)(name, version=version)
        elif action == "threshold":
            made = workspace.set_threshold(name, number(given, "threshold", least=0, most=1), version=version)
        elif action == "reviewed":
            made = workspace.set_reviewed(name, flag(given, "reviewed"), version=version)
        elif action == "note":
            made = workspace.set_note(name, note(given), version=version)
        else:
            known = "decide, undo, redo, threshold, reviewed or note"
            raise WebError(f"'{action[:40]}' is nothing that can be done to a review; expected {known}")
        return _json(review=made)


def _add_upload(routes: Blueprint, workspace: Workspace, max_upload_bytes: int) -> None:
    @routes.post("/api/upload")
    def upload() -> Response:
        size = request.content_length
        if size is None:
            return _error("the upload does not say how large it is; expected a Content-Length", 411)
        if size > max_upload_bytes:
            return _error(f"this file has {size / 1e6:.0f} MB; at most {max_upload_bytes / 1e6:.0f} MB are taken", 413)
        # The body as it comes: nothing here holds the whole file.
        request.max_content_length = max_upload_bytes
        return _json(entry=workspace.add(text(request.args, "name"), cast(BinaryIO, request.stream)))


def _brief(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """Return what tells a page whether somebody else has saved, without all decisions."""
    try:
        review = workspace.review(name)
    except SurfaceDefectError:
        return None
    return {"version": review.version, "who": review.who}


def _json(**values: Any) -> Response:
    """Answer in JSON. Hundreds of outlines are megabytes, hence no walk through every point of them in Python."""
    try:
        text = json.dumps(values, default=_plain, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(without_nan(json.loads(json.dumps(values, default=_plain))), allow_nan=False)
    return Response(text, mimetype="application/json")


def _plain(value: Any) -> Any:
    """Return what JSON does not know as something that it does."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _picture(data: bytes, mime: str, etag: str | None = None) -> AnyResponse:
    """Answer with a picture that the browser may keep: the page adds a version to its address."""
    answer = Response(data, mimetype=mime)
    answer.headers["Cache-Control"] = _KEEP if "v" in request.args else "private, no-cache"
    if etag is not None:
        # A header takes no letter beyond Latin-1, and a tag may be made of a scan's name.
        answer.set_etag(hashlib.sha256(etag.encode("utf-8", "surrogatepass")).hexdigest()[:32])
        return answer.make_conditional(request)
    return answer


def _answer_error(error: Exception) -> Response:
    """Turn what was raised into words and a status; what nobody foresaw is logged, and no detail of it leaves."""
    if isinstance(error, StaleReviewError):
        return _error(str(error), 409, review=error.review)
    if isinstance(error, WebError):
        return _error(str(error), getattr(error, "status", 400))
    if isinstance(error, ScanError):
        return _error(str(error), 422)
    if isinstance(error, SurfaceDefectError):
        return _error(str(error), 503 if isinstance(error, RuntimeError) else 400)
    if isinstance(error, HTTPException):
        return _error(error.description or error.name, error.code or 400)
    current_app.logger.error("a request failed: %s %s", request.method, request.path, exc_info=error)
    return _error("something went wrong in the page's own process; its log says what. Try again, or restart it", 500)


def _error(why: str, status: int, **more: Any) -> Response:
    answer = _json(error=why, status=status, **more)
    # The page shows the refusal itself; a browser would write it into its console as an error of the page, too.
    answer.status_code = 200 if request.headers.get("X-Page") else status
    return answer
