"""``surfacedefect serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect.cli import _options

TOKEN_VARIABLE = "SURFACEDEFECT_TOKEN"


def serve(
    host: Annotated[str, typer.Option(help="Name or address to listen on.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Port of REST; 0 takes a free one.")] = 8080,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC; 0 takes a free one.")] = 8081,
    model: _options.Model = "default",
    runtime: _options.Runtime = "auto",
    threads: _options.Threads = None,
    workers: Annotated[int, typer.Option(help="Requests worked on at a time; their windows share one engine.")] = 2,
    batch: Annotated[
        int | None, typer.Option(help="Most windows looked at together.", show_default="1 on a CPU, 8 on a GPU")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the token that clients must show; else the variable {TOKEN_VARIABLE}."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without a token: on a closed network only.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM) for both protocols.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    max_request_bytes: Annotated[int, typer.Option(help="Largest request.")] = 64 * 2**20,
    max_scan_bytes: Annotated[int, typer.Option(help="Largest scan that comes as a stream.")] = 2**30,
    max_pixels: Annotated[int, typer.Option(help="Most pixels of a scan.")] = 250_000_000,
    queue_length: Annotated[int, typer.Option(help="Requests that may wait; one more is refused.")] = 16,
    deadline: Annotated[float, typer.Option(help="Most seconds from a request to its answer.")] = 300.0,
    grace: Annotated[float, typer.Option(help="Most seconds that accepted requests may take after SIGTERM.")] = 60.0,
    drain: Annotated[
        float, typer.Option(help="Seconds after SIGTERM in which new requests still hear a refusal before ports close.")
    ] = 0.0,
) -> None:
    """Serve the model over gRPC and REST (Open Inference Protocol) until SIGTERM."""
    from surfacedefect.serving import ServeOptions
    from surfacedefect.serving._logs import configure

    options = ServeOptions(
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        token=_token(token_file),
        insecure=insecure,
        tls_cert=tls_cert,
        tls_key=tls_key,
        max_request_bytes=max_request_bytes,
        max_scan_bytes=max_scan_bytes,
        max_pixels=max_pixels,
        queue_length=queue_length,
        workers=workers,
        batch=batch,
        deadline_seconds=deadline,
        grace_seconds=grace,
        drain_seconds=drain,
    )
    from surfacedefect.serving import serve as run

    configure()
    run(model, runtime=runtime, threads=threads, options=options)


def _token(file: Path | None) -> str | None:
    return _options.token(file, variable=TOKEN_VARIABLE)
