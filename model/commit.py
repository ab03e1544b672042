"""A commit as the engine knows it."""

from model.value import Value


class Commit(Value):
    """A commit's identity and the little about it that people are shown.

    `subject` is cut to 200 characters and is data only: it never reaches a shell or a name.
    """

    id: str
    author: str = ""
    author_email: str = ""
    subject: str = ""
