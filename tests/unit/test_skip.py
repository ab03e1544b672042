"""Commit messages that ask for no build."""

import pytest

from model.skip import skip_mark


@pytest.mark.parametrize(
    ("message", "mark"),
    [
        ("Bump version [skip ci]", "[skip ci]"),
        ("[CI SKIP] bump", "[CI SKIP]"),
        ("bump\n\nfor nobody [no ci]\n", "[no ci]"),
        ("bump [ci-skip]", "[ci-skip]"),
        ("bump\n\nbecause\n\nSigned-off-by: x\nskip-checks: true\n", "skip-checks: true"),
        ("bump\n\nskip-checks:true", "skip-checks:true"),
        ("Explain skip ci", ""),
        ("bump [skip  ci]", ""),
        ("skip-checks: true", ""),
        ("bump\n\nskip-checks: true\n\nSigned-off-by: x", ""),
        ("bump\n\nskip-checks: false", ""),
        ("", ""),
    ],
)
def test_a_message_asks_for_no_build_or_does_not(message: str, mark: str) -> None:
    assert skip_mark(message) == mark
