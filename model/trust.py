"""Whose code may be built at once, and who may say so of anybody else's. Pure.

What a build runs, it runs with what builds may: so code of people whom the repository does not trust waits until
somebody who may has looked at exactly this commit, and is then built with nothing that is worth having.
"""

from collections.abc import Sequence

from model.change_request import ChangeRequest
from model.hosting import Permission
from model.value import Value

MEMBERS = frozenset({"owner", "member", "collaborator"})
WRITERS = frozenset({"write", "admin"})
VIEWER = "viewer"
BY_HAND = "towpath"
"""The provider of change requests that a person of Towpath's own made: see `triggers.previews`."""


class TrustRules(Value):
    """What a Repository says about people. Logins are the provider's, in lower case.

    `trusted` may have their changes built at once, `roles` are what each login may say in comments, `emails` whose
    commits are whose: by it nobody approves what they wrote.
    """

    trusted: tuple[str, ...] = ()
    roles: dict[str, tuple[str, ...]] = {}
    emails: dict[str, str] = {}

    def names(self, login: str) -> bool:
        """Whether this login is among the trusted."""
        return bool(login) and login.casefold() in self.trusted

    def roles_of(self, login: str) -> tuple[str, ...]:
        """The roles that a login has here, but for that of somebody who may only look."""
        return tuple(role for role in self.roles.get(login.casefold(), ()) if role != VIEWER)

    def email_of(self, login: str) -> str:
        """The address under which a login writes commits; empty when nobody said."""
        return self.emails.get(login.casefold(), "")


def merged(every: Sequence[TrustRules]) -> TrustRules:
    """What several Repositories of one address say, taken together."""
    trusted = {login for rules in every for login in rules.trusted}
    roles: dict[str, set[str]] = {}
    for rules in every:
        for login, held in rules.roles.items():
            roles.setdefault(login, set()).update(held)
    return TrustRules(
        trusted=tuple(sorted(trusted)),
        roles={login: tuple(sorted(held)) for login, held in sorted(roles.items())},
        emails={login: address for rules in reversed(every) for login, address in rules.emails.items()},
    )


class Trust(Value):
    """Whether a change may be built at once: a stable reason, and what people are told."""

    trusted: bool
    reason: str
    message: str


def needs_permission(change: ChangeRequest, rules: TrustRules) -> bool:
    """Whether the answer depends on what the provider lets the author do."""
    return judge(change, rules, None).reason in ("OwnBranch", "AuthorNotTrusted") and bool(change.author)


def judge(change: ChangeRequest, rules: TrustRules, permission: Permission | None) -> Trust:
    """Whether the code of a change may be built at once.

    A fork never is, whoever asks: those who may push to it are not those who may push here. A branch of the
    repository itself is when its author is known and trusted; where nobody can say anything about authors (no
    `api`, nobody named), it is because only those who may write to the repository can have made it. `permission`:
    what the provider lets the author do, None when it was not asked.
    """
    if change.provider == BY_HAND and change.components and not change.fork:
        return Trust(trusted=True, reason="ByHand", message="A person asked for it.")
    if change.fork:
        return _waits("Fork", "The branch lies in a fork.")
    author = change.author
    if rules.names(author):
        return Trust(trusted=True, reason="Named", message=f"{author} is trusted by the Repository.")
    if change.association in MEMBERS:
        return Trust(trusted=True, reason="Member", message=f"{author or 'The author'} is {change.association}.")
    if permission in WRITERS:
        return Trust(trusted=True, reason="MayWrite", message=f"{author} may write to the repository.")
    if permission is not None or rules.trusted:
        return _waits("AuthorNotTrusted", f"{author or 'An unknown author'} may not write to the repository.")
    return Trust(trusted=True, reason="OwnBranch", message="The branch is the repository's own.")


def may_steer(login: str, rules: TrustRules, permission: Permission | None) -> bool:
    """Whether somebody may have things tested again, stopped, or let a stranger's commit be built."""
    return permission in WRITERS or rules.names(login) or bool(rules.roles_of(login))


def is_bot(login: str) -> bool:
    """Whether a login is a machine's: machines that answer machines do not end."""
    return login.endswith("[bot]")


def _waits(reason: str, message: str) -> Trust:
    return Trust(trusted=False, reason=reason, message=message)
