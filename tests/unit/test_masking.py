"""What looks like a secret is not in excerpts; what people need to read is."""

import base64
import random
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.masking import LINE_LIMIT, LINES, MASK, TEXT_LIMIT, excerpt, fenced, masked

ALPHANUMERIC = string.ascii_letters + string.digits
WORDS = st.text("abcdefghij \n\t:/.-_=\"'(){}[]", max_size=80)
SEEDS = st.integers(0, 2**64)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("fetch https://user:pa55@git.example/x", "pa55"),
        ("fetch https://ghs_token@git.example/x", "ghs_token"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("> Proxy-Authorization: token q", "token q"),
        ("Cookie: session=abc; b=c", "abc"),
        ("export DB_PASSWORD=hunter2 && run", "hunter2"),
        ("NPM_TOKEN='two words'", "words"),
        ('{"apiKey": "short"}', "short"),
        ("client-secret: s3", "s3"),
        ("run --registry-token s3cr3t now", "s3cr3t"),
        ("https://bucket/x?X-Amz-Signature=abc123&y=1", "abc123"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY end", "MDENG"),
        ("ghp_0123456789abcdefABCD", "0123456789"),
        ("glpat-abcdefghij0123456789", "abcdefghij"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIi"),
        ("0123456789abcdef0123456789abcdef", "89abcdef"),
        ("9b2c1f3e-8d5a-4c7b-9e1f-0a2b3c4d5e6f", "8d5a"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nxyz\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMIIEabc\ncut off here", "cut off"),
        ("cut off before\nxyz\n-----END PRIVATE KEY-----\nmore", "xyz"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert MASK in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "npm ERR! code E404 404 Not Found - GET https://registry.example/left-pad",
        "ModuleNotFoundError: No module named 'flask_sqlalchemy_extension_points'",
        '  File "/usr/lib/python3.11/site-packages/pip/_internal/cli/base_command.py", line 105',
        "npm error path /home/towpath/.npm/_logs/2026-11-21T17_00_00_000Z-debug-0.log",
        "Step 5/9 : RUN npm ci --production",
        f"pushed sha256:{'0a1b2c3d' * 8}",
        "java.lang.IllegalArgumentException: AbstractSingletonProxyFactoryBean",
        "HEAD is now at 8b45929 Account for every promotion",
        "hello-world-with-a-long-name-3f2a9c1-5d41402a",
    ],
)
def test_what_people_need_stays(text: str) -> None:
    assert masked(text) == text


@given(WORDS, SEEDS, WORDS)
def test_a_drawn_secret_is_hidden_wherever_it_is(before: str, seed: int, after: str) -> None:
    secret = "".join(random.Random(seed).choices(ALPHANUMERIC, k=40))
    assert secret not in masked(f"{before} {secret} {after}")


@given(
    st.sampled_from(["password", "API_KEY", "secret_token", "DB_PASSWD"]), st.text(ALPHANUMERIC, min_size=1), WORDS
)
def test_what_is_called_a_secret_is_hidden_however_short(name: str, secret: str, before: str) -> None:
    shown = masked(f"{before}\n{name}={secret}\n")
    assert shown.endswith(f"{name}={MASK}\n")


@given(SEEDS)
def test_encoded_keys_are_hidden(seed: int) -> None:
    key = random.Random(seed).randbytes(32)
    for text in (base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode(), key.hex()):
        assert text not in masked(f"got {text} from there")


@given(st.text())
@settings(max_examples=300)
def test_any_text_is_taken(text: str) -> None:
    assert len(masked(text)) <= TEXT_LIMIT * 2
    assert masked(masked(text)) is not None


@given(st.binary(max_size=4000))
def test_any_log_gives_some_plain_lines(log: bytes) -> None:
    shown = excerpt(log)
    assert len(shown.split("\n")) <= LINES
    assert all(len(line) <= LINE_LIMIT and line.isprintable() for line in shown.split("\n"))


def test_colours_and_what_was_written_over_are_gone() -> None:
    log = b"\x1b[31mERROR\x1b[0m no\r\nprogress 1%\rprogress 100%\n\x1b]0;title\x07done\n\n"
    assert excerpt(log) == "ERROR no\nprogress 100%\ndone"


def test_the_last_lines_are_shown_and_a_key_that_began_before_them_is_not() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(f"abc{number}" for number in range(40)) + "\n"
    assert "abc39" not in excerpt(key.encode())
    many = "\n".join(f"line {number}" for number in range(100))
    assert excerpt(many.encode()).split("\n") == [f"line {number}" for number in range(80, 100)]


def test_nothing_in_it_ends_the_block_of_markdown() -> None:
    assert fenced("a\n```\nb").startswith("````text\n")
    assert fenced("a\n```\nb").endswith("\n````")


EVIL = (
    *("a-", "password", "bearer ", "-----BEGIN A-----", "a://", "\x1b[", "token=_", "a", "_", "a.b-c_", "--a"),
    *("-----END", "aaa_", "eyJa.", "\r", "sha256:", "commit "),
)


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_takes_long(evil: str) -> None:
    """Sixteen times the text may take sixteen times as long, not the square of it."""

    def seconds(size: int) -> float:
        text = (evil * size)[:size]
        best = 60.0
        for _ in range(2):
            began = time.process_time()
            masked(text)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(TEXT_LIMIT) < 64 * seconds(TEXT_LIMIT // 16) + 0.5
