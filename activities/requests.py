"""Change requests at their provider: what is said on them about previews."""

from temporalio import activity

from activities.apiserver import ApiServer
from activities.heartbeat import beating
from activities.hosting import Hosting
from activities.hosts import Hosts
from activities.repositories import Repositories
from model.hosting import HostedComment, HostedStatus
from model.request_report import Report, Reported, body, context, description, marker


class Requests:
    """Finds the provider of a repository, and tells it.

    Args:
        server: the control plane's API server, for Repository objects.
        hosts: opens a repository's provider.
    """

    def __init__(self, server: ApiServer, hosts: Hosts) -> None:
        self._repositories = Repositories(server)
        self._hosts = hosts

    @activity.defn(name="requests.report")
    async def report(self, report: Report) -> Reported:
        """Say on the request how its preview is; said twice it is still one comment.

        Where no Repository in the component's namespace has an `api`, nothing is said, which is no failure.

        Raises:
            NotFound: `TokenMissing`, there is no such Secret or key.
            UserFailure, InfrastructureFailure: what the provider raises.
        """
        repository = await self._repositories.of(report.namespace, report.repository)
        if repository is None or repository.spec.api is None:
            return Reported(comment=report.comment, skipped="No Repository with an api names this address.")
        if self._hosts.place(repository) is None:
            said = f"Provider {repository.spec.provider} is not spoken to."
            return Reported(comment=report.comment, skipped=said)
        async with beating(), self._hosts.open(repository) as provider:
            return Reported(comment=await told(provider, report))


async def told(provider: Hosting, report: Report) -> int:
    """Set the commit's status and write the one comment, or update it. Returns the comment's id; 0 where the
    change is no request there: a name that is no number is none, and its commit gets a status, that is all."""
    if report.commit and report.state != "closed":
        await provider.status(
            HostedStatus(
                commit=report.commit,
                context=context(report),
                state=report.state,
                title=report.title,
                description=description(report),
                link=report.address,
            )
        )
    if not report.change.isdigit():
        return 0
    known = str(report.comment) if report.comment else ""
    written = await provider.comment(
        HostedComment(change=report.change, body=body(report), comment=known, marker=marker(report))
    )
    return int(written) if written.isdigit() else 0
