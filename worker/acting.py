"""What speaks for people who wrote a command: with a key of its own, so that it can be told from the server's."""

from temporalio.client import Client

from activities.acting import Acting
from activities.apiserver import ApiServer
from activities.hosts import Hosts
from activities.marks import Marks
from activities.resources import Resources
from triggers.promotions import Promotions
from triggers.runs import TemporalRuns
from triggers.signing import Signer
from worker.keys import signing_key
from worker.settings import Settings


def acting(client: Client, settings: Settings, apiserver: ApiServer, hosts: Hosts) -> Acting:
    """Put together; without `acting_key` commands that steer are refused, and say so.

    Raises:
        UserFailure: `BadSigningKey`.
    """
    runs = promotions = None
    if settings.acting_key is not None:
        runs = TemporalRuns(client, Signer(signing_key(settings.acting_key)))
        promotions = Promotions(runs, lambda _: "")
    return Acting(apiserver, hosts, client, Resources(apiserver), Marks(apiserver), runs, promotions)
