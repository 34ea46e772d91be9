"""``python -m surfacedefect`` is ``surfacedefect``."""

from surfacedefect.cli import app

app(prog_name="surfacedefect")
