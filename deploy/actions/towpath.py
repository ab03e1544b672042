#!/usr/bin/env python3
"""Triggers a component from another CI system, and tells how far it comes. Needs nothing but Python 3.9.

Read from the environment: TOWPATH_URL, TOWPATH_TOKEN, TOWPATH_COMPONENT (NAME or NAMESPACE/NAME);
TOWPATH_BRANCH, TOWPATH_TAG, TOWPATH_COMMIT (what is built); TOWPATH_TRIGGER (`false`: a webhook has announced
the commit, only wait for it); TOWPATH_WAIT (`false`: only trigger); TOWPATH_TIMEOUT (seconds); TOWPATH_AT_GATE
(what it means to wait for people: `pass`, `fail`, or `exit`, which ends with code 3); TOWPATH_KEY (the same key
again starts nothing a second time).

Ends with 0 when it is done, 1 when it has failed, 2 when it was called wrongly.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote, urlsplit

POLL_SECONDS = 1.0
ANSWER_LIMIT = 8 * 1024 * 1024
COMPONENT = re.compile(r"(?:([a-z0-9][-a-z0-9.]{0,62})/)?([a-z0-9][-a-z0-9.]{0,62})")
CODES = {"done": 0, "idle": 0, "failed": 1, "waiting": 3}


class Refused(Exception):
    """The server says no, and would say so again."""


class Away(Exception):
    """The server cannot be reached, or asks for patience."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another host."""

    def redirect_request(self, *_: object) -> None:
        """None: it is an error."""


class Server:
    """Towpath's API."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + "/api/v1"
        self._token = token
        self._opener = urllib.request.build_opener(NoRedirects)

    def ask(self, method: str, path: str, body: dict[str, str] | None = None, key: str = "") -> dict[str, object]:
        """One call. Raises Refused and Away."""
        headers = {"Authorization": "Bearer " + self._token, "Accept": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, content, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=30) as response:
                found = json.loads(response.read(ANSWER_LIMIT))
        except urllib.error.HTTPError as error:
            told = _problem(error.read(ANSWER_LIMIT))
            if error.code in (408, 429) or error.code >= 500:
                raise Away(f"the server answered {error.code} {told}") from None
            raise Refused(f"the server answered {error.code} {told}") from None
        except (OSError, ValueError) as error:
            raise Away(f"the server cannot be asked: {type(error).__name__}") from None
        if not isinstance(found, dict):
            raise Refused("what answers is not Towpath")
        return found


class Timeline:
    """Says what has changed."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, what: str, message: str) -> None:
        """One line, unless it is what was said of it last. Begins with the time, so that no commit's message can
        give orders to the CI system that reads along."""
        text = "".join(ch if ch.isprintable() else " " for ch in message[:400]).strip()
        if self._said.get(what) != text:
            self._said[what] = text
            at = time.strftime("%H:%M:%S", time.gmtime())
            print(f"{at}  {what[:40]:<12} {text}", flush=True)


def main() -> int:
    """Do what the environment says; answers the exit code."""
    given = {name: os.environ.get("TOWPATH_" + name, "").strip() for name in (
        "URL", "TOKEN", "COMPONENT", "BRANCH", "TAG", "COMMIT", "TRIGGER", "WAIT", "TIMEOUT", "AT_GATE", "KEY",
    )}  # fmt: skip
    wrong = _wrong(given)
    if wrong:
        print("towpath: " + wrong, file=sys.stderr)
        return 2
    namespace, name = COMPONENT.fullmatch(given["COMPONENT"]).groups()  # type: ignore[union-attr]
    path = f"/components/{namespace or 'default'}/{name}"
    server, timeline = Server(given["URL"], given["TOKEN"]), Timeline()
    deadline = time.monotonic() + float(given["TIMEOUT"] or 1800)
    key = re.sub(r"[^A-Za-z0-9._:-]", "-", given["KEY"])[:128] or uuid.uuid4().hex
    try:
        commit = given["COMMIT"]
        if given["TRIGGER"] != "false":
            wanted = {"branch": given["BRANCH"], "tag": given["TAG"], "commit": commit}
            accepted = _patiently(lambda: server.ask("POST", path + "/trigger", wanted, key), timeline, deadline)
            timeline.say("accepted", f"{accepted['message']} {accepted.get('url') or accepted['workflow']}")
            if given["WAIT"] == "false":
                return 0
            commit = _commit(server, path, key, timeline, deadline)
        state, message = _followed(server, path, commit, timeline, deadline)
    except (Refused, Away) as trouble:
        print(f"towpath: {trouble}", file=sys.stderr)
        return 1
    _output(state, message, commit)
    code = CODES.get(state, 1)
    if code == 3 and given["AT_GATE"] != "exit":
        return 1 if given["AT_GATE"] == "fail" else 0
    return code


def _wrong(given: dict[str, str]) -> str:
    if not COMPONENT.fullmatch(given["COMPONENT"]):
        return "TOWPATH_COMPONENT: write NAME or NAMESPACE/NAME"
    address = urlsplit(given["URL"])
    if address.scheme not in ("http", "https") or not address.hostname or address.username:
        return "TOWPATH_URL: write https://<host>"
    if not given["TOKEN"]:
        return "TOWPATH_TOKEN is not set"
    if given["AT_GATE"] not in ("", "pass", "fail", "exit"):
        return "TOWPATH_AT_GATE: write pass, fail or exit"
    if not re.fullmatch(r"[0-9]{0,6}", given["TIMEOUT"]):
        return "TOWPATH_TIMEOUT: write seconds"
    if given["TRIGGER"] == "false" and not given["COMMIT"]:
        return "TOWPATH_COMMIT: say which commit is waited for"
    return ""


def _patiently(call, timeline: Timeline, deadline: float):  # type: ignore[no-untyped-def]
    """The answer, however long the server is away, up to the deadline."""
    while True:
        try:
            return call()
        except Away as trouble:
            if time.monotonic() >= deadline:
                raise
            timeline.say("away", str(trouble))
        time.sleep(POLL_SECONDS)


def _commit(server: Server, path: str, key: str, timeline: Timeline, deadline: float) -> str:
    """The commit that a trigger builds, once its build has been started."""
    while True:
        found = _patiently(lambda: server.ask("GET", path + "/triggers/" + quote(key)), timeline, deadline)
        if found["builds"]:
            timeline.say("source", f"{found['ref']} is at {found['commit']}")
            return str(found["commit"])
        if not found["open"]:
            raise Refused(f"nothing was built: {found['outcome']}: {found['message']}")
        _require_time(deadline, "the source is looked at")
        time.sleep(POLL_SECONDS)


def _followed(server: Server, path: str, commit: str, timeline: Timeline, deadline: float) -> tuple[str, str]:
    """How far a commit has come when it moves no more."""
    while True:
        found = _patiently(lambda: server.ask("GET", path + "?commit=" + quote(commit)), timeline, deadline)
        for build in [each for each in found["builds"] if each["commit"] == commit][:1]:
            timeline.say("build", f"{build['number']}: {build['phase']} {build['message']}")
        walks = [each for each in found["promotions"] if each["release"]["commit"]["id"] == commit]
        for step in walks[0]["steps"] if walks else ():
            if step["phase"] != "pending":
                timeline.say(step["environment"], f"{step['phase']} {step['message']}")
        progress = found["progress"]
        if progress["state"] != "moving":
            timeline.say(progress["state"], f"{progress['message']} {progress['next']}")
            return progress["state"], progress["message"]
        _require_time(deadline, progress["message"])
        time.sleep(POLL_SECONDS)


def _require_time(deadline: float, doing: str) -> None:
    if time.monotonic() >= deadline:
        raise Refused("not done in time: " + doing)


def _problem(body: bytes) -> str:
    try:
        document = json.loads(body)
        return f"{document['reason']}: {document['detail']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _output(state: str, message: str, commit: str) -> None:
    """For the steps that come after, where the CI system has a place for that."""
    place = os.environ.get("GITHUB_OUTPUT")
    if place:
        with open(place, "a", encoding="utf-8") as output:
            output.write(f"state={state}\ncommit={commit}\n")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with open(summary, "a", encoding="utf-8") as output:
            text = re.sub(r"[^\w .,:/()-]", " ", message)
            output.write(f"Towpath: **{state}** {text}\n")


if __name__ == "__main__":
    sys.exit(main())
