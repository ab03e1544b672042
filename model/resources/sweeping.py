"""How often a Repository is looked at for what its webhooks have missed."""

from model.duration import Duration, seconds
from model.resources.declared import StrictBlock

EVERY_SECONDS = 15 * 60.0
LEAST_SECONDS = 30.0


class SweepBlock(StrictBlock):
    """`every`: from one look to the next, 15 minutes if it is left out, and never more often than every 30
    seconds. `suspended`: not at all, unless somebody asks."""

    every: Duration | None = None
    suspended: bool = False

    @property
    def seconds(self) -> float:
        """From one look to the next.

        Raises:
            UserFailure: `BadDuration`.
        """
        return max(LEAST_SECONDS, seconds(self.every, "spec.sweep.every")) if self.every else EVERY_SECONDS
