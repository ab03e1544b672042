"""When a run of answers settles a check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.check import Limits
from model.sampling import Asked, Result, Sample, attempts, judge, settle
from model.verdict import FINDINGS_LIMIT, OBSERVATIONS_LIMIT, Observation, Verdict, worst

ASKED = Asked(
    name="endpoint http",
    subject="Endpoint http (port 80)",
    limits=Limits(),
    passed="HealthCheckPassed",
    failed="HealthCheckFailed",
    unanswered="HealthCheckUnreachable",
    hint="Is it up?",
)
PASSED = Sample(at=1, result="passed", said="answered 200 to GET /healthz")
FAILED = Sample(at=1, result="failed", said="answered 500 to GET /healthz: database is down")
SILENT = Sample(at=1, result="unreachable", said="did not answer: connection refused")
WRONG = Sample(at=1, result="unreachable", said="cannot be judged: parse error", lasting=True)
RESULTS: st.SearchStrategy[Result] = st.sampled_from(["passed", "failed", "unreachable"])
SILENCE: st.SearchStrategy[Result] = st.just("unreachable")
LIMITS = st.builds(
    Limits,
    samples=st.integers(1, 10),
    failure_limit=st.integers(1, 10),
    error_limit=st.integers(1, 10),
)


@pytest.mark.parametrize(
    ("samples", "health", "reason"),
    [
        ([PASSED] * 3, "healthy", "HealthCheckPassed"),
        ([SILENT, FAILED, PASSED, PASSED, PASSED], "healthy", "HealthCheckPassed"),
        ([FAILED] * 3, "unhealthy", "HealthCheckFailed"),
        ([PASSED, PASSED, FAILED, FAILED, FAILED], "unhealthy", "HealthCheckFailed"),
        ([SILENT] * 6, "inconclusive", "HealthCheckUnreachable"),
        ([PASSED, FAILED] * 8, "unhealthy", "HealthCheckFailed"),
        ([PASSED, SILENT] * 8, "inconclusive", "HealthCheckUnreachable"),
        ([PASSED, PASSED, WRONG], "inconclusive", "HealthCheckUnreachable"),
    ],
)
def test_verdicts(samples: list[Sample], health: str, reason: str) -> None:
    verdict = judge(ASKED, samples)
    assert verdict is not None
    assert (verdict.health, verdict.reason) == (health, reason)
    assert [(finding.check, finding.health) for finding in verdict.findings] == [("endpoint http", health)]


@pytest.mark.parametrize("samples", [[], [PASSED] * 2, [FAILED] * 2, [SILENT] * 5, [PASSED, PASSED, FAILED]])
def test_more_answers_are_needed(samples: list[Sample]) -> None:
    assert judge(ASKED, samples) is None


@pytest.mark.parametrize(
    ("samples", "health"),
    [
        ([], "inconclusive"),
        ([PASSED, PASSED], "inconclusive"),
        ([FAILED, PASSED], "inconclusive"),
        ([PASSED, FAILED], "unhealthy"),
        ([FAILED, SILENT], "inconclusive"),
    ],
)
def test_when_time_is_up_what_was_seen_last_decides_and_too_few_passes_are_none(
    samples: list[Sample], health: str
) -> None:
    verdict = judge(ASKED, samples, late=True)
    assert verdict is not None
    assert verdict.health == health
    assert "no time for more" in verdict.message


def test_a_verdict_says_what_was_seen_how_often_and_what_to_do() -> None:
    failed, silent = judge(ASKED, [FAILED] * 3), judge(ASKED, [SILENT] * 6)
    assert failed is not None
    assert silent is not None
    assert failed.message == (
        "Endpoint http (port 80) answered 500 to GET /healthz: database is down, 3 times in a row."
    )
    assert silent.message.endswith("did not answer: connection refused, 6 times in a row. Is it up?")


@given(LIMITS, st.lists(RESULTS, max_size=60))
def test_healthy_only_after_enough_passes_in_a_row(limits: Limits, results: list[Result]) -> None:
    settled = settle(limits, results)
    if settled is not None and settled.health == "healthy":
        assert results[-limits.samples :] == ["passed"] * limits.samples


@given(LIMITS, st.lists(RESULTS, max_size=60))
def test_unhealthy_only_when_something_failed(limits: Limits, results: list[Result]) -> None:
    settled = settle(limits, results)
    if settled is not None and settled.health == "unhealthy":
        assert "failed" in results


@given(LIMITS, st.data())
def test_asking_comes_to_an_end(limits: Limits, data: st.DataObject) -> None:
    results = data.draw(st.lists(RESULTS, min_size=attempts(limits), max_size=attempts(limits)))
    assert settle(limits, results) is not None


@given(LIMITS, st.lists(SILENCE, max_size=60))
def test_silence_is_never_a_pass_nor_a_failure(limits: Limits, results: list[Result]) -> None:
    settled = settle(limits, results)
    assert settled is None or settled.health == "inconclusive"


def test_the_worst_verdict_keeps_everybodys_findings_and_a_bounded_number_of_observations() -> None:
    many = tuple(Observation(at=number, subject="x", value="y") for number in range(200))
    good = judge(ASKED, [PASSED] * 3)
    assert good is not None
    bad = Verdict(health="unhealthy", reason="Bad", message="m", observations=many[:30], findings=good.findings)
    together = worst((good, *[good.model_copy(update={"observations": many})] * 60, bad))
    assert (together.health, together.reason) == ("unhealthy", "Bad")
    assert len(together.observations) == OBSERVATIONS_LIMIT
    assert set(many[:30]) <= set(together.observations)
    assert len(together.findings) == FINDINGS_LIMIT
