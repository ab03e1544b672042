"""What is written on a change request at its provider: a status on the commit, and one comment."""

from typing import Literal

from model.markdown import cell
from model.value import Value

ReportState = Literal["pending", "success", "failure", "closed"]
CONTEXT = "towpath/preview"
DESCRIPTION_LIMIT = 140
"""GitHub's limit for a status' description."""


class Report(Value):
    """How a preview is, for the request. `namespace` is the component's, where its Repository lies;
    `data_namespace` is where the preview runs. `comment` is the id of the comment to update; 0 when unknown.
    """

    repository: str
    namespace: str
    change: str
    commit: str
    component: str
    state: ReportState
    title: str
    message: str = ""
    address: str = ""
    data_namespace: str = ""
    until: str = ""
    workflow: str = ""
    comment: int = 0


class Reported(Value):
    """What came of a report: the comment's id (0: none), and where nobody could be told, why."""

    comment: int = 0
    skipped: str = ""


def context(report: Report) -> str:
    """The status' context. One a component: in a repository with several, each has a status of its own."""
    return f"{CONTEXT}/{report.component}"


def description(report: Report) -> str:
    """The status' one line."""
    text = " ".join(f"{report.title}: {report.message}".split()) if report.message else report.title
    return text if len(text) <= DESCRIPTION_LIMIT else f"{text[: DESCRIPTION_LIMIT - 1]}…"


def marker(report: Report) -> str:
    """What our comment is found by; invisible to people."""
    return f"<!-- towpath/preview {report.namespace}/{report.component} -->"


def body(report: Report) -> str:
    """The comment. What came from the repository or from the cluster is on one line and quoted."""
    lines = [marker(report), f"**Preview of `{report.component}` {report.title}**", ""]
    rows = [
        ("commit", f"`{report.commit[:12]}`" if report.commit else ""),
        ("address", report.address),
        ("namespace", f"`{report.data_namespace}`" if report.data_namespace and report.address else ""),
        ("lasts until", report.until),
        ("says", _quoted(report.message)),
        ("run", f"`{report.workflow}`" if report.workflow else ""),
    ]
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows if value]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """As code, so that nothing in it mentions people or other requests, or is markup."""
    shown = cell(text).replace("`", "'")
    return f"`{shown}`" if shown else ""
