"""What a Repository says about statuses, for the engine."""

from model.hosting_place import place
from model.repository import normalise
from model.resources.repository import Repository
from model.told import Told


def told(repository: Repository) -> Told | None:
    """Who is told of the repository's commits; None where nobody is: it has no `api`, or wants no statuses.

    Raises:
        UserFailure: `NotAtProvider`, the address is not one that this provider's repositories have.
    """
    spec, metadata = repository.spec, repository.metadata
    address = normalise(spec.url)
    if spec.api is None or not spec.statuses.enabled or place(spec.provider, address, spec.api.url) is None:
        return None
    return Told(
        repository=address,
        namespace=metadata.namespace,
        name=metadata.name,
        context=spec.statuses.context,
        link=spec.statuses.link or "",
        deployments=spec.statuses.deployments,
    )
