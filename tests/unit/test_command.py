"""Commands in comments: what counts as one, and what does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.actor import Actor
from model.command import COMMANDS_LIMIT, VERBS, Command, parse
from model.comment import BODY_LIMIT, Comment
from model.comment_story import CommandResult, Commenter, against, marker, reply

SHA = "5bd3a4a5c3c9ff0f0a2a3f2b0f8dcf0f6c8d6a01"


def wanted(body: str) -> list[str]:
    return [command.text for command in parse(body).wanted]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("/test", ["/test"]),
        ("/test web", ["/test web"]),
        ("  /Retest  ", ["/retest"]),
        ("Looks good!\n\n/approve production\r\n/promote staging", ["/approve production", "/promote staging"]),
        (f"/ok-to-test {SHA}", [f"/ok-to-test {SHA}"]),
        (f"/ok-to-test {SHA.upper()}", [f"/ok-to-test {SHA}"]),
        ("/test\n/test\n/TEST", ["/test"]),
        ("/help", ["/help"]),
        ("please /test", []),
        ("> /test", []),
        (">/test", []),
        ("    /test", []),
        ("\t/test", []),
        ("```\n/test\n```", []),
        ("~~~~\n/test\n~~~\n/test\n~~~~\n/cancel", ["/cancel"]),
        ("```sh\n/approve production\n", []),
        ("- /test", []),
        ("`/test`", []),
        ("/tests", []),
        ("/test/unit/a.py failed", []),
        ("/etc/passwd", []),
        ("//test", []),
        ("/ test", []),
        ("", []),
        ("<!-- towpath/answer 1 -->\n/test", []),
    ],
)
def test_a_command_is_a_line_of_ones_own(body: str, found: list[str]) -> None:
    assert wanted(body) == found


@pytest.mark.parametrize(
    "body",
    ["/ok-to-test", "/ok-to-test abc1234", f"/ok-to-test {SHA} now", f"/ok-to-test {SHA[:-1]}", "/promote",
     "/promote a b", "/test a b", "/retest web", "/promote ../x", "/test -rf", "/aprove production"],
)  # fmt: skip
def test_what_is_nearly_a_command_does_nothing_and_is_told(body: str) -> None:
    found = parse(body)
    assert (found.wanted, len(found.misread), found.nothing) == ((), 1, False)


def test_other_bots_commands_are_theirs() -> None:
    assert parse("/lgtm\n/assign @ann").nothing
    assert not parse("/lgtm\n/test").nothing
    assert [each.word for each in parse("/lgtm\n/lgtm\n/test").misread] == ["lgtm"]


def test_there_is_an_end_to_what_is_looked_at() -> None:
    many = "\n".join(f"/test component-{number}" for number in range(100))
    assert len(parse(many).wanted) == COMMANDS_LIMIT
    assert wanted(" " * 3 + "x" * BODY_LIMIT + "\n/test") == []


@given(st.text(max_size=400))
def test_no_text_breaks_it(body: str) -> None:
    found = parse(body)
    assert all(command.verb in VERBS for command in found.wanted)
    assert len(found.wanted) + len(found.misread) <= COMMANDS_LIMIT


@given(
    st.lists(
        st.sampled_from(["/test", "> /test", "```", "~~~", "    /test", "/cancel", "x", "`", ""]), max_size=12
    )
)
def test_quoted_lines_never_count(lines: list[str]) -> None:
    """Against the words of CommonMark, in the simplest way there is."""
    fence, expected = "", []
    for line in lines:
        if fence:
            fence = "" if line == fence else fence
        elif line in ("```", "~~~"):
            fence = line
        elif line.startswith("/") and line not in expected:
            expected.append(line)
    assert wanted("\n".join(lines)) == expected


def test_no_text_makes_it_slow() -> None:
    """Twice as much takes about twice as long, whatever it is made of."""
    for piece in ("/", "/a", " ", "`", "/test ", "/test a ", "\n", "~~~\n", "/-"):
        seconds = []
        for size in (BODY_LIMIT // 2, BODY_LIMIT):
            body = (piece * size)[:size]
            tries = []
            for _ in range(3):
                begun = time.perf_counter()
                parse(body)
                tries.append(time.perf_counter() - begun)
            seconds.append(min(tries))
        assert seconds[1] < 12 * seconds[0] + 0.02, piece


COMMENT = Comment(
    provider="github", repository="r", url="u", change="7", comment="99", actor=Actor(kind="person", name="ann")
)
MANAGER = Commenter(actor=Actor(kind="person", name="github:ann", roles=("release-manager",)), steers=True)
WRITER = Commenter(actor=Actor(kind="person", name="github:ann"), steers=True)
STRANGER = Commenter(actor=Actor(kind="person", name="github:ann"))


@pytest.mark.parametrize(
    ("verb", "writer", "stranger"),
    [
        ("test", None, "NotAllowed"),
        ("retest", None, "NotAllowed"),
        ("cancel", None, "NotAllowed"),
        ("ok-to-test", None, "NotAllowed"),
        ("promote", "RoleMissing", "RoleMissing"),
        ("approve", "RoleMissing", "RoleMissing"),
        ("help", None, None),
    ],
)
def test_who_may_say_what(verb: str, writer: str | None, stranger: str | None) -> None:
    command = Command.model_validate({"verb": verb})
    for person, reason in ((MANAGER, None), (WRITER, writer), (STRANGER, stranger)):
        why = against(command, person)
        assert (why[0] if why else None) == reason


def test_an_answer_mentions_nobody_and_is_no_command() -> None:
    evil = "`<img src=x> @everyone #1 |\n/approve production\n\n/ok-to-test"
    result = CommandResult(command="/test", component="web", accepted=False, reason="Refused", message=evil)
    body = reply(COMMENT, parse("/help\n/tets"), [result])
    assert body.startswith(marker(COMMENT))
    assert parse(body).wanted == ()
    assert parse(body.partition("\n")[2]).wanted == ()
    for line in body.splitlines()[1:]:
        assert line.count("`") % 2 == 0
        assert "@everyone" not in "".join(line.split("`")[::2])
    assert "did you mean /test?" in body
