"""Whether a release's pods have been well since a moment, by what pods keep of their restarts and readiness."""

from typing import Any

from temporalio import activity

from activities.dataplane import Kubernetes
from model import labels
from model.gitops import by_gitops, place
from model.manifests.metadata import selector
from model.soak import Steadiness, SteadinessQuestion
from model.steadiness import judge

Object = dict[str, Any]


class Soaking:
    """Looks at the pods of what soaks."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    @activity.defn(name="soaking.steady")
    async def steady(self, question: SteadinessQuestion) -> Steadiness:
        """What the pods of a release tell of the time since it was found healthy.

        Raises:
            InfrastructureFailure: the API server cannot be asked.
        """
        target = place(question.target)
        # What GitOps makes has labels of its own; the digest tells its pods from others.
        chosen = "" if by_gitops(target) else labels.query(selector(target))
        pods = await self._kubernetes.list("v1", "Pod", target.namespace, labels=chosen)
        return judge(pods, question)
