"""The `api` and `statuses` blocks of a Repository: as whom its provider is spoken to, and what it is told."""

from typing import Annotated

from pydantic import Field

from model.resources.declared import ObjectName, StrictBlock

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
HttpAddress = Annotated[str, Field(max_length=2048, pattern=r"^https?://[A-Za-z0-9\[][^\s@?#]*$")]
API_RULE = "has(self.tokenSecretRef) != has(self.app)"
API_MESSAGE = "give either tokenSecretRef or app"


class TokenReference(StrictBlock):
    """One key of a Secret in the repository's namespace that holds a token."""

    name: ObjectName
    key: SecretKey = "token"


class PrivateKeyReference(StrictBlock):
    """One key of a Secret in the repository's namespace that holds a private key (PEM)."""

    name: ObjectName
    key: SecretKey = "privateKey"


class ProviderApp(StrictBlock):
    """A GitHub App: its id (or client id), and its private key. `installation` is found when it is not given."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._]+$")]
    installation: Annotated[str, Field(max_length=20, pattern=r"^[0-9]*$")] = ""
    private_key_secret_ref: PrivateKeyReference


class ProviderApi(StrictBlock):
    """Where and as whom the provider is spoken to. `url` absent: the provider's own place for repositories at
    that host (see `model.hosting_place`). With `username` the token is that user's password (HTTP Basic)."""

    url: HttpAddress | None = None
    token_secret_ref: TokenReference | None = None
    app: ProviderApp | None = None
    username: Annotated[str, Field(max_length=253, pattern=r"^[^:\x00-\x20\x7f]*$")] = ""


class Statuses(StrictBlock):
    """What is told on commits. `context` comes before each status' name, `link` is the address of Temporal's Web
    UI as developers reach it, `deployments` says whether the provider's own list of deployments is kept."""

    enabled: bool = True
    deployments: bool = True
    context: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._/-]+$")] = "towpath"
    link: HttpAddress | None = None
