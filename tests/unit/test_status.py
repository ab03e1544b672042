"""What promotions and lanes write of one component does not undo one another."""

from model import status
from model.component import Component
from model.key import ComponentKey
from model.note import EnvironmentNote, Note

COMPONENT = Component(key=ComponentKey(name="hello"))
NEWER = "promotion/default/hello/newer"
OLDER = "promotion/default/hello/older"
AT_GATE = {
    "stage": "production: at-gate",
    "environments": [{"name": "production", "waitingRelease": "newer", "waitingPromotion": NEWER}],
}


def leaves_gate(workflow: str) -> Note:
    return Note(
        component=COMPONENT,
        reason="NewerRelease",
        message="superseded",
        stage="production: superseded",
        workflow=workflow,
        waiting=EnvironmentNote(name="production"),
    )


def test_a_superseded_promotion_does_not_hide_the_one_that_waits_now() -> None:
    note = leaves_gate(OLDER)
    assert status.applied(note, AT_GATE, "now") == []
    assert "stage" not in status.scalars(note, AT_GATE)


def test_a_promotion_that_leaves_the_gate_clears_it() -> None:
    note = leaves_gate(NEWER)
    assert status.applied(note, AT_GATE, "now") == [
        ("towpath-gate-production", {"environments": [{"name": "production"}]})
    ]
    assert status.scalars(note, AT_GATE)["stage"] == "production: superseded"
