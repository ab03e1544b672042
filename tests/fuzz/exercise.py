"""What may come of a delivery, whatever is in it."""

from collections.abc import Mapping

from model.change_request import ChangeRequest
from model.comment import BODY_LIMIT, Comment
from model.event import Event
from model.failure import UserFailure
from model.push import Ignored, Ping
from triggers.problem import Problem
from triggers.starter import workflow_of
from triggers.webhooks.provider import Provider

ID_LIMIT = 1000
PAYLOAD_LIMIT = 128 * 1024
EVENTS_LIMIT = 2001


def exercise(provider: Provider, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
    """What was understood; nothing when it was refused. Anything else that is raised is a mistake of ours."""
    try:
        document = provider.read(headers, body)
        provider.addresses(document)
        events = provider.parse(headers, document)
    except Problem as problem:
        assert 400 <= problem.status < 500, problem  # noqa: PT017  (any of three ends is fine)
        return ()
    except UserFailure:
        return ()
    assert 0 < len(events) <= EVENTS_LIMIT
    for event in events:
        assert len(event.model_dump_json()) < PAYLOAD_LIMIT
        if isinstance(event, Ping | Ignored):
            continue
        # What a sender names ends up in ids; the address in it is the declared one in the end.
        assert (
            len(workflow_of(event.model_copy(update={"repository": "git.example/team/app"})).encode()) < ID_LIMIT
        )
        if isinstance(event, ChangeRequest):
            assert 0 < len(event.change) <= 30
            assert event.at >= 0
        if isinstance(event, Comment):
            assert len(event.body) <= BODY_LIMIT
            assert event.actor.kind == "person"
            assert event.actor.name
    return events
