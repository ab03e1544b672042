"""Questions to somebody outside: may this release go in? A webhook answers, or a Kubernetes Job."""

from pydantic import Field

from model.value import Value


class External(Value):
    """One question, asked when all other rules of the gate are met: of the webhook at `url`, or by a Job.

    A call takes at most `timeout_seconds`. What is not a yes is asked again every `retry_seconds`, until
    `limit_seconds` after the first time; a yes counts for `lasts_seconds`. `secret` and `secret_key` name
    the Secret (in the component's namespace) whose text goes along as bearer token: never the text itself.
    """

    name: str
    url: str = ""
    secret: str = ""
    secret_key: str = "token"  # noqa: S105  (a key's name)
    image: str = ""
    command: tuple[str, ...] = ()
    timeout_seconds: float = Field(default=10, ge=1, le=3600)
    retry_seconds: float = Field(default=60, ge=10)
    limit_seconds: float = Field(default=3600, ge=1)
    lasts_seconds: float = Field(default=3600, ge=60)
