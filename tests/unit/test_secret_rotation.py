"""While a webhook's secret is replaced, whatever the provider signs with counts."""

from hypothesis import given
from hypothesis import strategies as st

from model.secret_rotation import Change, live, newest, prepared, promoted, retired, told

KEY = "secret"


def written(texts: dict[str, str], change: Change) -> dict[str, str]:
    """The Secret after a merge patch."""
    merged = {**texts, **change}
    return {key: text for key, text in merged.items() if text is not None}


def test_a_rotation_from_end_to_end() -> None:
    texts = {KEY: "old"}
    texts = written(texts, prepared(texts, KEY, "fresh"))
    assert live(texts, KEY, 100) == ("old", "fresh")
    assert newest(texts, KEY) == "fresh"
    assert promoted(texts, KEY, until=200) == {}, "the provider does not know it yet"
    texts = written(texts, told(texts, KEY, "fresh"))
    texts = written(texts, promoted(texts, KEY, until=200))
    assert live(texts, KEY, 199) == ("old", "fresh")
    assert live(texts, KEY, 200) == ("fresh",)
    assert retired(texts, KEY, 199) == {}
    assert written(texts, retired(texts, KEY, 200)) == {KEY: "fresh"}


def test_a_secret_that_is_missing_is_made_at_once() -> None:
    assert prepared({}, KEY, "fresh") == {KEY: "fresh"}
    assert live({}, KEY, 0) == ()


def test_other_keys_of_the_same_secret_are_left_alone() -> None:
    texts = {KEY: "old", "other": "untouched", "other.next": "neither"}
    texts = written(texts, prepared(texts, KEY, "fresh"))
    texts = written(texts, told(texts, KEY, "fresh"))
    texts = written(texts, promoted(texts, KEY, 1))
    texts = written(texts, retired(texts, KEY, 2))
    assert texts == {KEY: "fresh", "other": "untouched", "other.next": "neither"}


STEPS = st.lists(st.sampled_from(["prepare", "install", "tell", "promote", "retire", "wait"]), max_size=40)


@given(STEPS)
def test_in_whatever_order_and_how_often_steps_run_what_is_signed_now_counts(steps: list[str]) -> None:
    """Steps of several rotations at once, each perhaps done twice: nobody is shut out."""
    texts, now, made, signs, noted = {KEY: "0"}, 0.0, 0, "0", "0"
    for step in steps:
        if step == "prepare":
            made += 1
            texts = written(texts, prepared(texts, KEY, str(made)))
        elif step == "install":
            signs = newest(texts, KEY)
        elif step == "tell":
            # Of what was installed when the call began; somebody else's may have come after.
            texts, noted = written(texts, told(texts, KEY, noted)), signs
        elif step == "promote":
            texts = written(texts, promoted(texts, KEY, now + 10))
        elif step == "retire":
            texts = written(texts, retired(texts, KEY, now))
        elif step == "wait":
            now += 7
        assert signs in live(texts, KEY, now)
