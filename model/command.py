"""Commands in comments on change requests: `/test`, `/approve production` and so on, found in what people write.

A command is a line of its own that begins with `/`. What is quoted (`>`), in a block of code, or indented like one
is somebody else's word or an example, and no command.
"""

import re
from difflib import get_close_matches
from typing import Literal, get_args

from model.comment import BODY_LIMIT
from model.value import Value

Verb = Literal["test", "retest", "cancel", "promote", "approve", "ok-to-test", "help"]
VERBS: tuple[str, ...] = get_args(Verb)
COMMANDS_LIMIT = 10
OWN_MARKER = "<!-- towpath"
"""What everything begins with that Towpath writes."""

_WORD = re.compile(r" {0,3}/([A-Za-z][A-Za-z-]{0,31})(?![A-Za-z0-9_/.-])(.*)")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_ARGUMENTS: dict[str, tuple[int, int, str]] = {
    "test": (0, 1, "/test [COMPONENT]"),
    "retest": (0, 0, "/retest"),
    "cancel": (0, 0, "/cancel"),
    "promote": (1, 1, "/promote ENVIRONMENT"),
    "approve": (0, 1, "/approve [ENVIRONMENT]"),
    "ok-to-test": (1, 1, "/ok-to-test COMMIT (its whole id)"),
    "help": (0, 0, "/help"),
}


class Command(Value):
    """One command. `argument` is a component's, an environment's or a commit's name; empty without one."""

    verb: Verb
    argument: str = ""

    @property
    def text(self) -> str:
        """As it is written."""
        return f"/{self.verb} {self.argument}".strip()


class Misread(Value):
    """A line that is no command though it looks like one: the word, and why. `known`: it is nearly one of ours."""

    word: str
    message: str
    known: bool = False


class Commands(Value):
    """What a comment asks for, each once and in order, and what in it cannot be understood."""

    wanted: tuple[Command, ...] = ()
    misread: tuple[Misread, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether the comment is none of our business. Other bots have commands too: an unknown one alone is
        theirs."""
        return not self.wanted and not any(each.known for each in self.misread)


def parse(body: str) -> Commands:
    """The commands of a comment; of more than 16 KiB or 10 commands the rest is not looked at."""
    if body.lstrip().startswith(OWN_MARKER):
        return Commands()
    wanted: dict[Command, None] = {}
    misread: dict[str, Misread] = {}
    for line in _spoken(body[:BODY_LIMIT]):
        found = _WORD.fullmatch(line)
        if found is None:
            continue
        if len(wanted) + len(misread) >= COMMANDS_LIMIT:
            break
        read = _read(found[1].lower(), found[2].split())
        if isinstance(read, Command):
            wanted[read] = None
        else:
            misread.setdefault(read.word, read)
    return Commands(wanted=tuple(wanted), misread=tuple(misread.values()))


def _read(verb: str, arguments: list[str]) -> Command | Misread:
    if verb not in _ARGUMENTS:
        # Other bots have commands of their own: only what looks like one of ours is ours to correct.
        near = get_close_matches(verb, VERBS, n=1, cutoff=0.75)
        meant = f"; did you mean /{near[0]}?" if near else ";"
        message = f"There is no command /{verb}{meant} /help lists them."
        return Misread(word=verb, message=message, known=bool(near))
    least, most, usage = _ARGUMENTS[verb]
    if not least <= len(arguments) <= most:
        return Misread(word=verb, message=f"Write {usage}.", known=True)
    argument = arguments[0].lower() if arguments else ""
    fits = bool(_COMMIT.fullmatch(argument)) if verb == "ok-to-test" else bool(_NAME.fullmatch(argument))
    if argument and not fits:
        return Misread(word=verb, message=f"Write {usage}.", known=True)
    return Command.model_validate({"verb": verb, "argument": argument})


def _spoken(body: str) -> list[str]:
    """The lines that are the writer's own words: no quotations, no code (CommonMark: fences of three or more
    backticks or tildes, closed by at least as many; four spaces or a tab)."""
    kept: list[str] = []
    fence = ""
    for raw in re.split(r"\r\n|\r|\n", body):
        line = raw.rstrip()
        bare = line.lstrip(" ")
        mark = re.match(r"(`{3,}|~{3,})", bare) if len(line) - len(bare) < 4 else None
        if fence:
            if mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not bare.strip(fence[0]):
                fence = ""
            continue
        if mark:
            fence = mark[1]
            continue
        kept.append(line)
    return kept


HELP: tuple[tuple[str, str], ...] = (
    ("/test [COMPONENT]", "build and show it again"),
    ("/retest", "try again what failed"),
    ("/cancel", "stop what is being built or shown of this request"),
    ("/ok-to-test COMMIT", "let exactly this commit of somebody not trusted be built, without secrets"),
    ("/promote ENVIRONMENT", "send the release of this request on its way"),
    ("/approve [ENVIRONMENT]", "say yes to it at the gate where it waits"),
    ("/help", "this list"),
)
