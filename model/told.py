"""Who is told, commit by commit, how a component's pipeline goes."""

from model.value import Value


class Told(Value):
    """The provider of a component's source, as far as statuses need it.

    `repository` is the normalised address, `namespace` and `name` the Repository object that says how to speak to
    its provider. `context` comes before every status' name; `link` is the address of Temporal's Web UI for readers
    of statuses (empty: the installation's own). With `deployments` the provider's list of deployments is kept.
    """

    repository: str
    namespace: str
    name: str
    context: str = "towpath"
    link: str = ""
    deployments: bool = True
