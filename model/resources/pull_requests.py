"""The `pullRequests` block of a Repository: whose changes are built at once, and who may say what in comments."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from model.resources.declared import StrictBlock
from model.trust import TrustRules

Login = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^@?[A-Za-z0-9_][A-Za-z0-9._@+\[\]-]*$")]
Logins = Annotated[list[Login], Field(max_length=200)]
Email = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^\s@<>]+@[^\s@<>]+$")]


class PullRequests(StrictBlock):
    """Logins are the provider's; `@name` stands for everybody in the group of that name.

    `trusted` have their changes built at once. `roles` are what promotion policies ask for, each with the logins
    that have it in comments. `emails` say whose commits are whose, without which nobody approves by a comment.
    """

    trusted: Logins = []
    groups: Annotated[dict[str, Logins], Field(max_length=50)] = {}
    roles: Annotated[dict[str, Logins], Field(max_length=50)] = {}
    emails: Annotated[dict[str, Email], Field(max_length=500)] = {}

    def rules(self) -> TrustRules:
        """The same for the engine, groups spelt out. A group that there is not has nobody in it."""
        roles: dict[str, list[str]] = {}
        for role, logins in sorted(self.roles.items()):
            for login in _people(logins, self.groups):
                roles.setdefault(login, []).append(role)
        return TrustRules(
            trusted=tuple(sorted(_people(self.trusted, self.groups))),
            roles={login: tuple(held) for login, held in sorted(roles.items())},
            emails={login.casefold(): address for login, address in sorted(self.emails.items())},
        )


def _people(logins: Sequence[str], groups: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    for login in logins:
        if not login.startswith("@"):
            found.add(login.casefold())
            continue
        # No groups in groups: then a circle cannot be.
        found |= {each.casefold() for each in groups.get(login[1:], ()) if not each.startswith("@")}
    return found
