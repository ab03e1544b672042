"""`spec.gitops` of a PromotionPolicy as the rules that it states."""

from model.duration import seconds
from model.failure import UserFailure
from model.gitops_policy import Controller, GitOps
from model.repository import check_address, check_ref
from model.resources.gitops import GitOpsRules
from model.strategy import Strategy


def gitops(rules: GitOpsRules, field: str, namespace: str) -> GitOps:
    """The rules as the engine uses them; `namespace` is the policy's own, where its controller is by default.

    Raises:
        UserFailure: `InvalidManifest`, `BadRepositoryAddress`, `BadRef` or `BadDuration`, naming the field.
    """
    if rules.write == "kustomizeImage" and not rules.image:
        raise UserFailure("InvalidManifest", f"{field}.image: name the entry of the kustomization's images")
    if rules.write == "helmValue" and not rules.key:
        raise UserFailure("InvalidManifest", f"{field}.key: say which value is set, such as image.digest")
    repository, workload = rules.repository, rules.workload
    try:
        check_address(repository.url)
        check_ref(f"refs/heads/{repository.branch or 'main'}")
    except UserFailure as failure:
        raise UserFailure(failure.reason, f"{field}.repository: {failure.message}") from None
    stated = {
        "wait_seconds": rules.timeout and seconds(rules.timeout, f"{field}.timeout"),
        "merge_seconds": rules.merge_within and seconds(rules.merge_within, f"{field}.mergeWithin"),
        "content": rules.content,
        "mode": rules.mode,
        "branch": repository.branch,
        "secret": repository.secret_ref.name if repository.secret_ref else None,
        "image": rules.image,
        "key": tuple(rules.key.split(".")) if rules.key else None,
        "workload_namespace": workload.namespace if workload else None,
        "workload_name": workload.name if workload else None,
    }
    for name in ("wait_seconds", "merge_seconds"):
        limit = 3600 if name == "wait_seconds" else 30 * 86_400
        value = stated[name]
        if isinstance(value, float) and not 0 < value <= limit:
            said = {"wait_seconds": "timeout", "merge_seconds": "mergeWithin"}[name]
            raise UserFailure("BadDuration", f"{field}.{said}: more than 0 and at most {limit} s")
    return GitOps.model_validate(
        {
            "url": repository.url,
            "path": rules.path,
            "write": rules.write,
            "controller": Controller(
                kind=rules.controller.kind,
                name=rules.controller.name,
                namespace=rules.controller.namespace or namespace,
            ),
            **{name: value for name, value in stated.items() if value is not None},
        }
    )


def refuse_together(chosen: GitOps | None, strategy: Strategy | None, where: str) -> None:
    """A strategy is of no use where the engine does not make what runs.

    Raises:
        UserFailure: `InvalidManifest`.
    """
    if chosen is not None and chosen.owns_workload and strategy is not None and strategy.progressive:
        raise UserFailure(
            "InvalidManifest",
            f"{where}: spec.gitops ({chosen.write}) and spec.strategy.{strategy.kind} exclude one another: "
            "put the strategy into the repository, or write: releaseBinding",
        )
