"""The `post-receive` hook: tells Towpath of every ref that a push moved, and the pusher what came of it.

It never fails the push: what Git has taken stays taken. Standard library only, since every push waits for it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIME_LIMIT = 10.0
"""Seconds in which a webhook must be answered."""
REF_LIMIT = 50
_ANSWER_LIMIT = 64 * 1024
_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def main() -> None:
    """Post one webhook for each line of `old new ref` that Git gives (githooks(5), post-receive)."""
    url = f"{os.environ['TOWPATH_URL']}/webhooks/git"
    clone_url = f"{os.environ['TOWPATH_GIT_URL']}/{_path()}"
    secret = Path(os.environ["TOWPATH_WEBHOOK_SECRET_FILE"]).read_text().strip()
    moved = [line.split() for line in sys.stdin.read().splitlines() if len(line.split()) == 3]
    for old, new, ref in moved[:REF_LIMIT]:
        try:
            _say(ref, announce(url, secret, clone_url, old, new, ref))
        except Exception as error:
            # The push is done: whatever went wrong is for its pusher to read.
            _say(ref, f"the webhook failed ({error!r}); the push itself is safe")
    if len(moved) > REF_LIMIT:
        _say("", f"{len(moved) - REF_LIMIT} more refs were pushed and not announced; push fewer at once")


def announce(url: str, secret: str, clone_url: str, old: str, new: str, ref: str) -> str:
    """Send one signed webhook and say in a few words what was answered."""
    body = json.dumps(
        {
            "repository": {"url": clone_url},
            "ref": ref,
            "before": old,
            "after": new,
            "forced": _is_forced(old, new),
            "pusher": os.environ.get("REMOTE_USER", ""),
        }
    ).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Towpath-Event": "push",
        "X-Towpath-Delivery": hashlib.sha256(f"{clone_url}\0{ref}\0{old}\0{new}".encode()).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    # Never through a proxy: the server is this machine's.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(
            urllib.request.Request(url, data=body, headers=headers),  # noqa: S310  (the stack's own address)
            timeout=TIME_LIMIT,
        ) as answer:
            return _accepted(answer.read(_ANSWER_LIMIT))
    except urllib.error.HTTPError as error:
        return f"refused with {error.code}: {_problem(error.read(_ANSWER_LIMIT))}"
    except (urllib.error.URLError, OSError) as error:
        why = getattr(error, "reason", error)
        return f"the server at {url} could not be reached ({why}); nothing was started, push again when it is up"


def _accepted(body: bytes) -> str:
    found = _object(body)
    workflow = found.get("workflow") or found.get("workflow_id")
    if workflow:
        return f"{'already known as' if found.get('duplicate') else 'started'} {workflow}"
    return str(found.get("message") or found.get("detail") or found.get("status") or "accepted")


def _problem(body: bytes) -> str:
    found = _object(body)
    return str(found.get("detail") or found.get("title") or "no reason given")


def _object(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _path() -> str:
    """The repository's path below the server's root; hooks run in the repository's folder."""
    root = Path(os.environ["GIT_PROJECT_ROOT"]).resolve()
    return Path(os.environ.get("GIT_DIR", ".")).resolve().relative_to(root).as_posix()


def _is_forced(old: str, new: str) -> bool:
    """Whether commits were dropped: the old head is no ancestor of the new one."""
    if not old.strip("0") or not new.strip("0"):
        return False
    done = subprocess.run(["git", "merge-base", "--is-ancestor", old, new], capture_output=True, check=False)
    return done.returncode == 1


def _say(ref: str, text: str) -> None:
    name = ref.removeprefix("refs/heads/")
    line = f"towpath: {name}: {text}" if name else f"towpath: {text}"
    # What the server answered goes to a terminal: nothing but text.
    print(_PRINTABLE.sub("?", line)[:1000], flush=True)


if __name__ == "__main__":
    main()
