"""What must run elsewhere before a gate opens."""

from model.value import Value


class Requirement(Value):
    """Another component of the project must run in `environment` (empty: the gate's own).

    With `release`, that release or a newer one of it; with `same_commit`, one of the commit that waits at
    the gate, or of a later push.
    """

    component: str
    environment: str = ""
    release: str = ""
    same_commit: bool = False
