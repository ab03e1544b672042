"""Temporal's workflow ids and task queues: the one place where they are made.

The shapes are those of the design's story: `push/<repository>/<ref>/<commit>`,
`build/<component>/<commit>/<n>`, `promotion/<component>/<release>`, `lane/<component>/<environment>`.
"""

import hashlib
from urllib.parse import quote

from model.key import ComponentKey

CONTROL_QUEUE = "control"
REF_PART_LIMIT = 400
ADMISSION_QUEUE = "admission"


def build_queue(plane: str) -> str:
    """Task queue of a workflow (build) plane's workers."""
    return f"build/{plane}"


def data_queue(plane: str) -> str:
    """Task queue of a data plane's workers."""
    return f"data/{plane}"


def push(repository: str, ref: str, commit: str, forced_from: str = "") -> str:
    """Id of the Delivery of one push.

    A forced push names where it came from as well: pushing an older commit again on purpose
    (A, B, then A by force) is a new push, while a redelivery of either stays a duplicate.
    """
    suffix = f"+{forced_from[:12]}" if forced_from else ""
    return f"push/{quote(repository, safe='')}/{_ref(ref)}/{commit}{suffix}"


def found(repository: str, ref: str, commit: str, since: str, number: int, attempt: int = 1) -> str:
    """Id of the Delivery of a head that a look at the repository has found although the push of that id was dealt
    with before: the ref was led back to it, or that Delivery could not read it. `since` and `number` are those of
    the ledger's entry, so that whoever finds the same starts the same; a later `attempt` is for one that ended
    without having handled it."""
    again = f".{attempt}" if attempt > 1 else ""
    return push(repository, ref, commit) + f"+{since[:12] or 'none'}.{number}{again}"


def ledger(repository: str) -> str:
    """Id of the entity that knows what was handled of a repository's refs."""
    return f"ledger/{quote(repository, safe='')}"


def timed_build(component: ComponentKey) -> str:
    """Id of the schedule that builds a component although nobody has pushed."""
    return f"timed-build/{component}"


def sweep(repository: str, occasion: str = "") -> str:
    """Id of a look at a repository's refs, and of the schedule of these looks; `occasion` is what it was asked
    for with (a delivery's id, a request's key)."""
    name = f"sweep/{quote(repository, safe='')}"
    return f"{name}/{quote(occasion, safe='')}" if occasion else name


def applied(component: ComponentKey, uid: str, generation: int) -> str:
    """Id of the Delivery that an applied or edited manifest starts."""
    return f"applied/{component}/{uid}/{generation}"


def triggered(component: ComponentKey, request: str) -> str:
    """Id of the Delivery that a person starts by hand; `request` is the idempotency key."""
    return f"trigger/{component}/{quote(request, safe='')}"


def build(component: ComponentKey, commit: str, number: int) -> str:
    """Id of one attempt (from 1) at building a component at a commit."""
    return f"build/{component}/{commit}/{number}"


def change(repository: str, change: str, delivery: str) -> str:
    """Id of what one announced event of a change request starts; `delivery` is the sender's id of it."""
    return f"change/{quote(repository, safe='')}/{change}/{quote(delivery, safe='')}"


def deleted(repository: str, ref: str, before: str, delivery: str) -> str:
    """Id of what the deletion of a ref starts; `delivery` (the sender's id of it) counts where `before` (the
    commit that it led to) is unknown. A ref that comes back and goes again from another commit is another."""
    return f"deleted/{quote(repository, safe='')}/{_ref(ref)}/{before or quote(delivery, safe='')}"


def comment(repository: str, change: str, comment: str) -> str:
    """Id of what a comment on a change request starts: edited or announced again, it acts once."""
    return f"comment/{quote(repository, safe='')}/{change}/{quote(comment, safe='')}"


def image(repository: str, digest: str, tag: str, delivery: str) -> str:
    """Id of what a pushed image starts; `delivery` counts where the sender tells no digest, since a tag moves."""
    name = f"{quote(repository, safe='')}/{quote(tag, safe='') or '-'}"
    return f"image/{name}/{quote(digest or delivery, safe='')}"


def poison(provider: str, digest: str) -> str:
    """Id of what keeps a delivery that broke our reading of it; `digest` is its body's."""
    return f"poison/{quote(provider, safe='')}/{digest}"


def outbox(namespace: str, subscription: str) -> str:
    """Id of the entity that keeps what waits to be sent to a subscriber."""
    return f"outbox/{namespace}/{subscription}"


def preview(component: ComponentKey, change: str) -> str:
    """Id of the entity that owns a component's preview of one change."""
    return f"preview/{component}/{change}"


def preview_build(component: ComponentKey, change: str, commit: str, number: int) -> str:
    """Id of one attempt (from 1) at building a commit for a preview. Not a `build`: what such a build makes is
    never promoted, so the push of that very commit to the component's branch has to build it anew."""
    return f"preview-build/{component}/{change}/{commit}/{number}"


def promotion(component: ComponentKey, release: str) -> str:
    """Id of the walk of one release through the pipeline."""
    return f"promotion/{component}/{release}"


def lane(component: ComponentKey, environment: str) -> str:
    """Id of the entity that owns one component in one environment."""
    return f"lane/{component}/{environment}"


def rollout(component: ComponentKey, environment: str, revision: int) -> str:
    """Id of the deployment that makes one revision of a lane."""
    return f"rollout/{component}/{environment}/{revision}"


def vigil(component: ComponentKey, environment: str, revision: int) -> str:
    """Id of the watch over a revision after it was healthy."""
    return f"vigil/{component}/{environment}/{revision}"


def release_set(namespace: str, project: str, name: str) -> str:
    """Id of the walk of several components' releases that go in together."""
    return f"set/{namespace}/{project}/{name}"


def set_rollback(namespace: str, project: str, name: str, environment: str) -> str:
    """Id of the way back of a finished set in one environment."""
    return f"set-rollback/{namespace}/{project}/{name}/{environment}"


def teardown(component: ComponentKey, uid: str) -> str:
    """Id of the clean-up after a component was deleted; `uid` is the deleted object's."""
    return f"teardown/{component}/{uid}"


def rebinding(component: ComponentKey, environment: str, uid: str, version: str) -> str:
    """Id of what an edit of a ReleaseBinding starts; `version` is the object's generation, or `deleted`."""
    return f"binding/{component}/{environment}/{uid}/{version}"


def statuses(repository: str, commit: str) -> str:
    """Id of the entity that brings what is said of a commit to its provider."""
    return f"statuses/{quote(repository, safe='')}/{commit}"


def registration(namespace: str, name: str) -> str:
    """Id of what is done about a Repository's webhook at its provider: one thing at a time."""
    return f"registration/{namespace}/{name}"


def rotation(namespace: str, name: str, request: str) -> str:
    """Id of the replacement of a Repository's webhook secret that a call asked for."""
    return f"rotation/{namespace}/{name}/{request}"


def queue(plane: str) -> str:
    """Id of the entity that lets builds onto a build plane."""
    return f"queue/{plane}"


def _ref(ref: str) -> str:
    """A ref as a part of an id. Temporal takes ids of at most 1,000 bytes, and a letter beyond ASCII takes up to
    twelve of them: a name that becomes too long is cut, and told from others by its digest."""
    quoted = quote(ref, safe="/")
    if len(quoted) <= REF_PART_LIMIT:
        return quoted
    return f"{quoted[: REF_PART_LIMIT - 65]}~{hashlib.sha256(ref.encode()).hexdigest()}"
