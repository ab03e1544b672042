"""Hiding what looks like a secret in text that others get to see: excerpts of logs, messages of tools.

What a secret is cannot be known here, so whatever looks like one is hidden, and sometimes what is none: better a
missing word than a leaked token. Every pattern is linear in the length of the text, which is cut first.
"""

import math
import re
from collections import Counter

MASK = "***"
TEXT_LIMIT = 16 * 1024
LINES = 20
LINE_LIMIT = 300

# ECMA-48: CSI and OSC sequences, then any other escape.
_ANSI = re.compile(r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|\x1b.?")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,64}-----.*?(?:-----END [A-Z0-9 ]{1,64}-----|\Z)", re.DOTALL)
_PEM_REST = re.compile(r"\A(?:(?!-----BEGIN ).)*?-----END [A-Z0-9 ]{1,64}-----", re.DOTALL)
# The user alone may be a token, too.
_USERINFO = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@'\"<>]{1,2048}@")
_SCHEMES = re.compile(
    r"(?P<before>\b(?:bearer|basic|digest|negotiate|token|apikey)[ \t]{1,8}['\"]?)(?P<secret>[^\s'\",;]{6,8192})",
    re.I,
)
_HEADERS = re.compile(
    r"(?P<before>\b(?:proxy-)?authorization['\"]?[ \t]{0,8}[:=][ \t]{0,8}|\b(?:set-)?cookie:[ \t]{0,8})"
    r"[^\r\n]{1,8192}",
    re.I,
)
_NAMES = (
    r"pass(?:wor[dt]|wd|phrase)?|pwd|secret|token|credentials?|private[_-]?key|api[_-]?key|access[_-]?key|auth[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|client[_-]?secret|account[_-]?key|session|cookie|signature|sig|jwt|auth"
)
# `DB_PASSWORD=…`, `"api_key": "…"`, `--token …`, `?sig=…`
_ASSIGNED = re.compile(
    rf"(?P<before>(?<![A-Za-z0-9])(?:[A-Za-z0-9]{{1,40}}[_.-]){{0,6}}[A-Za-z0-9]{{0,40}}(?:{_NAMES})[A-Za-z0-9_.-]{{0,40}}"
    r"['\"]?[ \t]{0,8}(?:=>|:=|=|:|%3[Dd])[ \t]{0,8})"
    r"(?:'[^'\r\n]{0,4096}'|\"[^\"\r\n]{0,4096}\"|[^\s'\",;&]{1,4096})",
    re.I,
)
_OPTIONS = re.compile(
    rf"(?P<before>--?[A-Za-z0-9-]{{0,40}}(?:{_NAMES})[A-Za-z0-9-]{{0,40}}[ \t]{{1,8}})"
    r"(?:'[^'\r\n]{0,4096}'|\"[^\"\r\n]{0,4096}\"|(?!-)[^\s'\"]{1,4096})",
    re.I,
)
# Prefixes that providers give their tokens so that scanners find them.
_KNOWN = re.compile(
    r"gh[opsur]_[A-Za-z0-9]{10,}|github_pat_[A-Za-z0-9_]{10,}|gl[a-z]{2,6}-[A-Za-z0-9_.-]{10,}|xox[a-z]-[A-Za-z0-9-]{8,}"
    r"|xapp-[A-Za-z0-9-]{8,}|(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{12,}|AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_.-]{10,}"
    r"|npm_[A-Za-z0-9]{10,}|pypi-[A-Za-z0-9_-]{10,}|sk-[A-Za-z0-9_-]{10,}|[rs]k_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|hf_[A-Za-z0-9]{10,}|dckr_[a-z]{2,4}_[A-Za-z0-9_-]{8,}|whsec_[A-Za-z0-9+/=_-]{8,}|SG\.[A-Za-z0-9_.-]{16,}"
    r"|hv[sbr]\.[A-Za-z0-9_-]{10,}|dop_v1_[a-f0-9]{16,}|age-secret-key-1[a-z0-9]{10,}"
    r"|eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)?",
    re.I,
)
_DIGESTS = re.compile(
    r"\bsha(?:256|384|512)[:-][A-Za-z0-9+/]{43,88}={0,2}|\b(?:commit|HEAD is now at|revision) [0-9a-f]{7,64}\b"
)
_RUN = re.compile(r"[A-Za-z0-9+/_=%~-]{20,}")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{32,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def masked(text: str) -> str:
    """The text (at most 16 KiB of it, the end) with `***` in place of what looks like a secret."""
    text = text[-TEXT_LIMIT:]
    text = _PEM_REST.sub(MASK, _PEM.sub(MASK, text))
    for pattern in (_USERINFO, _HEADERS, _SCHEMES, _ASSIGNED, _OPTIONS):
        text = pattern.sub(lambda found: found["before"] + MASK + ("@" if found[0].endswith("@") else ""), text)
    text = _KNOWN.sub(MASK, text)
    # What everybody may see, and looks like a secret: set apart, and left as it is.
    pieces: list[str] = []
    end = 0
    for public in _DIGESTS.finditer(text):
        pieces += [_RUN.sub(_judged, text[end : public.start()]), public[0]]
        end = public.end()
    return "".join((*pieces, _RUN.sub(_judged, text[end:])))


def excerpt(log: bytes, lines: int = LINES) -> str:
    """The last lines of a log as plain text: without colours, without what was written over, without secrets."""
    text = _ANSI.sub("", log[-TEXT_LIMIT:].decode(errors="replace"))
    # Whole first: a key that begins before the last lines is one all the same.
    shown = [_line(each) for each in masked(text).split("\n")]
    return "\n".join([each for each in shown if each][-lines:])


def fenced(text: str) -> str:
    """Text as a block of markdown that nothing in it can end."""
    longest = max((len(found) for found in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _line(text: str) -> str:
    """What is left on a terminal's line: a carriage return begins it anew."""
    text = text.rstrip("\r").rpartition("\r")[2]
    shown = "".join(ch if ch.isprintable() else " " for ch in text).rstrip()
    return shown if len(shown) <= LINE_LIMIT else f"{shown[: LINE_LIMIT - 1]}…"


def _judged(found: re.Match[str]) -> str:
    return MASK if _is_random(found[0]) else found[0]


def _is_random(text: str) -> bool:
    """Whether a run of characters looks drawn rather than written."""
    if _HEX.search(text):
        return True
    # Paths and names are words; each word is looked at, and the whole when it is long for a name.
    words = [word for word in re.split(r"[/_=~-]", text) if word]
    longest = max(words, key=len, default="")
    if len(longest) >= 16 and _mixed(longest) and _entropy(longest) > 3.2:
        return True
    upper, lower = sum(ch.isupper() for ch in text), sum(ch.islower() for ch in text)
    # Names in camel case have far more small letters than capital ones.
    if len(text) >= 30 and min(upper, lower) * 4 >= upper + lower > 0 and _entropy(text) > 4:
        return True
    digits = sum(ch.isdigit() for ch in text)
    return len(text) >= 32 and min(upper, lower, digits) >= 3 and _entropy(text) > 4.2


def _mixed(text: str) -> bool:
    kinds = (any(ch.islower() for ch in text), any(ch.isupper() for ch in text), any(ch.isdigit() for ch in text))
    return sum(kinds) == 3 or (kinds[2] and sum(ch.isdigit() for ch in text) * 5 >= len(text))


def _entropy(text: str) -> float:
    """Bits a character, as far as the text itself tells."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())
