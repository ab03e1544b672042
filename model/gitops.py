"""GitOps: which release runs is written to a Git repository, and a controller applies what is written there."""

import re
from typing import Literal

from model.repository import normalise
from model.rollout import RolloutRequest, Target
from model.value import Value

ROLLOUT_TRAILER = "Towpath-Rollout"
RELEASE_TRAILER = "Towpath-Release"
REVERTS_TRAILER = "Towpath-Reverts"
COMMITTER = ("Towpath", "towpath@towpath.dev")
_TRAILER_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/%+-]{0,500}")


class WriteRequest(Value):
    """Write what this rollout brings, on behalf of the workflow `rollout`.

    `reverts` is the commit that is taken back by it; empty when the release is simply written.
    """

    rollout: str
    request: RolloutRequest
    reverts: str = ""


class Written(Value):
    """What Git says now. `commit` is the one that says it; `own` whether this rollout made it.

    `proposal` names the branch on which it waits for a person; empty when it is on the branch itself.
    `url` is where people look at the proposal, where a provider told.
    """

    commit: str
    own: bool = False
    proposal: str = ""
    url: str = ""


class Writing(Value):
    """What a Rollout says of its own commits: all there are so far, and whether one may just be being made."""

    busy: bool = False
    commits: tuple[str, ...] = ()


class MergeRequest(Value):
    """Wait until the proposal of a rollout is merged."""

    rollout: str
    request: RolloutRequest
    written: Written


class Ancestry(Value):
    """Whether `revision` holds `commit` in its history, in the repository of the rollout's policy."""

    request: RolloutRequest
    commit: str
    revision: str


class AppliedQuestion(Value):
    """Wait until the controller says something about a revision that is not in `known`.

    `seconds` bounds the wait; `expected` is the commit that it would best be.
    """

    request: RolloutRequest
    expected: str
    known: tuple[str, ...] = ()
    seconds: float = 300


class AppliedAnswer(Value):
    """What the controller says. `revision` is the commit it speaks of; empty when it says nothing new.

    `applied`: the cluster has what that commit says. `failed`: it cannot be applied, or is not healthy.
    """

    state: Literal["applied", "failed", "waiting"]
    revision: str = ""
    reason: str = ""
    message: str = ""


class OwnQuestion(Value):
    """Whether commits (id to the workflow that their trailer names) were all made by these workflows."""

    commits: dict[str, str]


def message(request: WriteRequest) -> str:
    """The commit message, with the trailers by which our own commits are found again.

    Nothing of it comes from a push: a subject line could hold anything.
    """
    release, step = request.request.release, request.request.target.step
    component = release.component.name
    what = f"{component}: {step.environment} runs {release.name}"
    why = f"Image digest {release.digest}, revision {request.request.revision} of the lane."
    trailers = f"{RELEASE_TRAILER}: {release.name}\n{ROLLOUT_TRAILER}: {request.rollout}"
    if request.reverts:
        why = f"It takes back {request.reverts}. {why}"
        trailers += f"\n{REVERTS_TRAILER}: {request.reverts}"
    return f"{what}\n\n{why}\n\n{trailers}\n"


def trailer_value(text: str) -> str:
    """The workflow id in a trailer; empty when it is none that this engine would write."""
    return text if _TRAILER_VALUE.fullmatch(text) else ""


def proposal_branch(rollout: str, reverts: str) -> str:
    """The branch of a proposal: the same one for the same rollout and direction."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", rollout).strip("-")[:150]
    return f"towpath/{name}{'-revert' if reverts else ''}"


def same_repository(one: str, other: str) -> bool:
    """Whether two addresses are the same repository.

    Raises:
        UserFailure: `BadRepositoryAddress`.
    """
    return normalise(one) == normalise(other)


def by_gitops(target: Target) -> bool:
    """Whether a GitOps controller makes what runs there."""
    policy = target.step.policy.gitops
    return policy is not None and policy.owns_workload


def place(target: Target) -> Target:
    """The target with the namespace that its GitOps repository fills; else as it is."""
    policy = target.step.policy.gitops
    if policy is None or not policy.owns_workload or not policy.workload_namespace:
        return target
    return target.model_copy(update={"namespace": policy.workload_namespace})


def located(request: RolloutRequest) -> RolloutRequest:
    """The request with the namespace and the Service that the GitOps repository makes; else as it is."""
    policy = request.target.step.policy.gitops
    if policy is None or not policy.owns_workload:
        return request
    service = request.service or policy.workload_name
    return request.model_copy(update={"target": place(request.target), "service": service})
