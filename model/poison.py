"""A delivery that could not be understood because of a mistake of ours."""

from model.value import Value


class Poison(Value):
    """What is kept of a verified delivery on which reading broke: enough to find it at the sender's and to mend
    us, and nothing of what is in it.

    `delivery` is the sender's id of it (`""` when it has none), `event` the event's name as the headers tell it,
    `size` the body's length in bytes and `digest` its SHA-256 in hex, `error` the type of what was raised and
    `place` where (`module:line`); `sequence` is when it came, in milliseconds since the epoch.
    """

    provider: str
    delivery: str = ""
    event: str = ""
    size: int = 0
    digest: str
    error: str
    place: str = ""
    sequence: int = 0
