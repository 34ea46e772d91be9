"""The page that asks for the token, where there is one. It needs no script."""

from __future__ import annotations

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in - surfacedefect</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/sign-in.css"></head>
<body><main><h1>surfacedefect</h1>
<form method="post" action="/sign-in"><label for="token">Token of this page</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus{describedby}>
{message}<button type="submit">Open the page</button></form>
<p>Whoever started the page has set the token.</p></main></body></html>
"""
_WRONG = '<p id="wrong" role="alert">That is not the token of this page.</p>'

STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#eef0f2, #14171a);
  color: light-dark(#1a1f24, #e6e9ec); font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { width: min(22rem, calc(100vw - 3rem)); }
h1 { font-size: 1.15rem; }
form { display: grid; gap: .6rem; }
p { color: light-dark(#56606a, #9aa5af); font-size: .9rem; }
#wrong { color: light-dark(#a8200d, #ff9d8f); margin: 0; }
input, button { font: inherit; padding: .6rem .7rem; border-radius: 6px;
  border: 1px solid light-dark(#aab3bb, #4b555e); }
button { background: #1f5fbf; border-color: #1f5fbf; color: #fff; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 3px solid #4c9aff; outline-offset: 2px; }
"""


def sign_in_page(*, wrong: bool = False) -> str:
    """Return the page's HTML; nothing in it comes from a request."""
    return _PAGE.format(message=_WRONG if wrong else "", describedby=' aria-describedby="wrong"' if wrong else "")
