"""Who did it: a person, or the engine on its own."""

from typing import Literal

from model.value import Value


class Actor(Value):
    """Who asks for something. `email` is compared with a commit's author for the own-commit rule."""

    kind: Literal["person", "automation"] = "automation"
    name: str = "towpath"
    email: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


AUTOMATION = Actor()
