"""Commit messages that ask for no build, as GitHub and GitLab understand them.

https://docs.github.com/actions/how-tos/manage-workflow-runs/skip-workflow-runs and
https://docs.gitlab.com/ci/pipelines/#skip-a-pipeline
"""

import re

MESSAGE_LIMIT = 64 * 1024
_MARK = re.compile(r"\[(?:skip[ -]ci|ci[ -]skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)
# Trailers are the last paragraph's lines (git-interpret-trailers).
_TRAILER = re.compile(r"skip-checks:[ \t]{0,10}true", re.IGNORECASE)


def skip_mark(message: str) -> str:
    """What in a commit's whole message asks for no build; empty when nothing does."""
    message = message[:MESSAGE_LIMIT]
    found = _MARK.search(message)
    if found:
        return found[0]
    paragraph = message.strip().rpartition("\n\n")[2].splitlines() if "\n\n" in message.strip() else []
    return next((line.strip() for line in paragraph if _TRAILER.fullmatch(line.strip())), "")
