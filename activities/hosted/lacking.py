"""What some providers do not have, said the same way by each."""

from typing import ClassVar

from model.failure import UserFailure
from model.hosting import FailedDelivery, HostedDeployment


class WithoutDeployments:
    """A provider that knows nothing of deployments; the status of the environment's context tells the same."""

    name: ClassVar[str]

    async def deployment(self, deployment: HostedDeployment) -> str:
        """Raises `NotOffered`."""
        raise UserFailure("NotOffered", f"{self.name} has no deployments to tell of {deployment.environment}.")


class WithoutDeliveries:
    """A provider whose log of deliveries cannot be asked for."""

    name: ClassVar[str]

    async def failed_deliveries(self, url: str, since: float) -> list[FailedDelivery]:  # noqa: ARG002
        """Raises `NotOffered`."""
        raise UserFailure("NotOffered", f"{self.name}'s log of deliveries is shown to people only.")

    async def redeliver(self, delivery: FailedDelivery) -> None:  # noqa: ARG002
        """Raises `NotOffered`."""
        raise UserFailure("NotOffered", f"{self.name}'s log of deliveries is shown to people only.")
