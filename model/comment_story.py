"""What came of a comment: who wrote it, what it concerns, and what was answered."""

from model.actor import Actor
from model.command import HELP, Command, Commands
from model.comment import Comment
from model.hosting import Permission
from model.key import ComponentKey
from model.markdown import cell
from model.trust import TrustRules, may_steer
from model.value import State, Value


class Commenter(Value):
    """Somebody as a Repository knows them. `steers`: they may have things tested, stopped, and strangers' commits
    built. `roles` are those that promotion policies ask for."""

    actor: Actor
    steers: bool = False


class Concerned(Value):
    """A component of the repository that a comment is about. `commit` is what its preview shows or is to show
    (empty: it has none), `branch` where that lies, `author` who opened the request, as far as is known."""

    component: ComponentKey
    project: str
    preview: bool = False
    commit: str = ""
    branch: str = ""
    author: str = ""


class Surroundings(Value):
    """Who writes, by namespace, and what it is about."""

    people: dict[str, Commenter] = {}
    concerned: tuple[Concerned, ...] = ()


class Word(Value):
    """A command of a comment for one component, by somebody. `id` makes it one effect."""

    id: str
    command: Command
    comment: Comment
    actor: Actor
    concerned: Concerned


class CommandResult(Value):
    """What became of a command. `component` is empty where it is about none."""

    command: str
    component: str = ""
    accepted: bool
    reason: str
    message: str


class Reply(Value):
    """What is answered under a comment. `namespace` is where its Repository lies."""

    namespace: str
    comment: Comment
    body: str
    marker: str


class CommentState(State):
    """What a query of a CommentDelivery answers, and its result.

    `outcome` is a stable reason: `NoCommand`, `Bot`, `Done`, `Refused` (nothing of it could be done), or the
    reason for which nobody could tell who writes. `answered` is the id of the reply, where there can be one.
    """

    comment: Comment
    outcome: str = "Accepted"
    message: str = ""
    results: list[CommandResult] = []
    answered: str = ""


def commenter(comment: Comment, rules: TrustRules, permission: Permission | None) -> Commenter:
    """Who wrote a comment: only ever whom the verified event names."""
    login = comment.actor.name
    actor = Actor(
        kind="person",
        name=f"{comment.provider}:{login}",
        email=rules.email_of(login),
        roles=rules.roles_of(login),
    )
    return Commenter(actor=actor, steers=may_steer(login, rules, permission))


def against(command: Command, person: Commenter) -> tuple[str, str] | None:
    """Why somebody may not say this at all; what they may promote and approve, gates ask for themselves."""
    if command.verb in ("promote", "approve"):
        if person.actor.roles:
            return None
        return "RoleMissing", "It takes a role of the Repository's spec.pullRequests.roles."
    if command.verb == "help" or person.steers:
        return None
    return "NotAllowed", "It takes write permission, or a name in the Repository's spec.pullRequests."


def marker(comment: Comment) -> str:
    """What our answer to a comment is found by; invisible to people."""
    said = "".join(ch for ch in comment.comment if ch.isalnum() or ch in "-_")
    return f"<!-- towpath/answer {said} -->"


def reply(comment: Comment, commands: Commands, results: list[CommandResult]) -> str:
    """The answer, in markdown. Whatever people or clusters wrote is on one line, and quoted."""
    lines = [marker(comment)]
    for result in results:
        sign = "✓" if result.accepted else "✗"
        where = f" for {_quoted(result.component)}" if result.component else ""
        lines.append(f"- {sign} {_quoted(result.command)}{where}: {_quoted(result.message)}")
    lines += [f"- ✗ {_quoted('/' + each.word)}: {_quoted(each.message)}" for each in commands.misread]
    if any(command.verb == "help" for command in commands.wanted):
        lines += ["", "| | |", "| --- | --- |"]
        lines += [f"| `{usage}` | {meaning} |" for usage, meaning in HELP]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """As code, so that nothing in it mentions people or other requests, or is markup."""
    return f"`{cell(text).replace('`', chr(39))}`"
