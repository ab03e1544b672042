"""Where a repository is that answers with redirects, within its own host."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urljoin, urlsplit

from deploy.builder.refusal import BuildRefused

_SECONDS = 20
_HOPS_LIMIT = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: they are answers like others."""


def within_host(url: str, authorization: str) -> str:
    """The address to fetch from: GitLab, for one, sends `…/app` on to `…/app.git`.

    Args:
        url: as it is declared.
        authorization: the header for its host, empty for none; it goes nowhere else.

    Raises:
        BuildRefused: `GitRedirected`, the repository is at another host now.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        return url
    at = url
    for _ in range(_HOPS_LIMIT):
        location = _location(f"{at.rstrip('/')}/info/refs?service=git-upload-pack", authorization)
        if not location:
            break
        at = _followed(at, location)
    return at


def _location(url: str, authorization: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})  # noqa: S310
    try:
        with urllib.request.build_opener(_Unfollowed).open(request, timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as answer:
        with answer:
            return urljoin(url, answer.headers.get("location", "")) if answer.code in _REDIRECTS else ""
    except (OSError, HTTPException, ValueError):
        # Whatever it is, git meets it as well, and says it better.
        return ""


def _followed(url: str, location: str) -> str:
    before, after = urlsplit(url), urlsplit(location)
    same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    upgraded = (before.scheme, after.scheme) == ("http", "https") and before.netloc == after.netloc
    if not (same or upgraded) or not after.path.endswith("/info/refs"):
        where = f" ({after.hostname})" if after.hostname != before.hostname else ""
        raise BuildRefused(
            "GitRedirected",
            f"{url} sends callers elsewhere{where}; only the declared host is spoken to. If the repository has "
            "moved, declare its new address.",
        )
    return f"{after.scheme}://{after.netloc}{after.path.removesuffix('/info/refs')}"
