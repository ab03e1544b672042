"""One asking of an outside gate, and what came back."""

from typing import Literal

from model.external import External
from model.job import JobRequest
from model.key import ComponentKey
from model.value import Value


class ExternalQuestion(Value):
    """What is asked, for which release. `id` tells one asking from the next; a try of it keeps it."""

    id: str
    external: External
    component: ComponentKey
    environment: str
    release: str
    digest: str
    commit: str = ""
    job: JobRequest | None = None


class ExternalAnswer(Value):
    """`error`: there was no answer, which is never a yes. Times are seconds since the epoch."""

    name: str
    answer: Literal["yes", "no", "error"]
    reason: str
    message: str
    at: float = 0
    first: float = 0
    asked: int = 1
