"""The API as the command line calls it."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import httpx
import typer
from pydantic import TypeAdapter

from model.build_queue import QueueView
from model.difference import Difference
from model.key import ComponentKey
from model.lane import Revision
from model.registration import Registered, Rotated
from triggers.api.builds import COMPLETE_HEADER, OFFSET_HEADER
from triggers.commandline.application import Exit, Trouble
from triggers.setviews import SetView
from triggers.views import (
    Accepted,
    BuildView,
    ComponentDetail,
    ComponentView,
    DeliveryView,
    DryRun,
    EventView,
    Explanation,
    FreezeView,
    LaneView,
    PreviewView,
    PromotionView,
    ReleaseView,
    RepositoryView,
    ScheduleView,
    SweepView,
)

TIMEOUT_SECONDS = 30.0
T = TypeVar("T")


class Api:
    """Calls to the server; refusals become Trouble."""

    def __init__(
        self,
        http: httpx.Client,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self.pause = pause
        self.clock = clock

    @classmethod
    def from_environment(cls) -> "Api":
        """The server of TOWPATH_URL, as the person of TOWPATH_TOKEN.

        Raises:
            Trouble: one of them is not set.
        """
        missing = [name for name in ("TOWPATH_URL", "TOWPATH_TOKEN") if not os.environ.get(name)]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise Trouble(
                f"{' and '.join(missing)} {verb} not set.",
                'On a local stack: eval "$(towpath local env)"',
                Exit.USAGE,
            )
        address = os.environ["TOWPATH_URL"].rstrip("/")
        headers = {"Authorization": f"Bearer {os.environ['TOWPATH_TOKEN']}"}
        try:
            return cls(httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT_SECONDS))
        except (httpx.InvalidURL, ValueError) as error:
            raise Trouble(f"TOWPATH_URL is not an address: {error}", code=Exit.USAGE) from None

    def components(self, namespace: str = "") -> list[ComponentView]:
        """All components."""
        answer = self._get("/components", namespace=namespace)
        return TypeAdapter(list[ComponentView]).validate_python(answer)

    def component(self, key: ComponentKey, commit: str = "") -> ComponentDetail:
        """One component; with `commit` its progress is that commit's."""
        return ComponentDetail.model_validate(self._get(_path(key), commit=commit))

    def builds(self, key: ComponentKey, limit: int) -> list[BuildView]:
        """The newest builds first."""
        answer = self._get(f"{_path(key)}/builds", limit=str(limit))
        return TypeAdapter(list[BuildView]).validate_python(answer)

    def build(self, key: ComponentKey, commit: str, number: int) -> BuildView:
        """One build."""
        return BuildView.model_validate(self._get(f"{_path(key)}/builds/{commit}/{number}"))

    def queue(self, plane: str) -> QueueView:
        """Who builds on a plane and who waits."""
        return QueueView.model_validate(self._get(f"/queues/{plane}"))

    def log(self, build: BuildView, follow: bool) -> Iterator[bytes]:
        """The log's bytes: what there is, or with `follow` until the build has ended."""
        path = f"{_path(ComponentKey.parse(build.component))}/builds/{build.commit}/{build.number}/log"
        offset = 0
        while True:
            try:
                response = self._send("GET", path, params={"offset": str(offset)})
            except Trouble as trouble:
                if not (follow and trouble.passing):
                    raise
                self.pause(1.0)
                continue
            if response.content:
                yield response.content
                offset = int(response.headers[OFFSET_HEADER])
                continue
            if not follow or response.headers[COMPLETE_HEADER] == "true":
                return
            self.pause(1.0)

    def releases(self, key: ComponentKey) -> list[ReleaseView]:
        """All releases, newest first."""
        return TypeAdapter(list[ReleaseView]).validate_python(self._get(f"{_path(key)}/releases"))

    def promotion(self, key: ComponentKey, release: str) -> PromotionView:
        """The walk of a release."""
        return PromotionView.model_validate(self._get(f"{_path(key)}/promotions/{release}"))

    def lane(self, key: ComponentKey, environment: str) -> LaneView:
        """One lane."""
        return LaneView.model_validate(self._get(f"{_path(key)}/lanes/{environment}"))

    def difference(self, key: ComponentKey, environment: str, revision: int, to: int, other: str) -> Difference:
        """What differs between two revisions of a lane, or between two lanes."""
        numbers = {"revision": str(revision or ""), "to": str(to or ""), "with": other}
        return Difference.model_validate(self._get(f"{_path(key)}/lanes/{environment}/diff", **numbers))

    def history(self, key: ComponentKey, environment: str) -> tuple[Revision, ...]:
        """A lane's revisions, oldest first."""
        return self.lane(key, environment).history

    def previews(self, key: ComponentKey) -> list[PreviewView]:
        """The component's previews, the newest first."""
        return TypeAdapter(list[PreviewView]).validate_python(self._get(f"{_path(key)}/previews"))

    def preview(self, key: ComponentKey, change: str) -> PreviewView:
        """One preview."""
        return PreviewView.model_validate(self._get(f"{_path(key)}/previews/{change}"))

    def preview_log(self, key: ComponentKey, change: str) -> Iterator[str]:
        """The log of its last build that has ended."""
        offset = 0
        while True:
            path = f"{_path(key)}/previews/{change}/log"
            response = self._send("GET", path, params={"offset": str(offset)})
            if not response.content:
                return
            yield response.content.decode(errors="replace")
            offset = int(response.headers[OFFSET_HEADER])

    def explain(self, key: ComponentKey, environment: str, release: str = "") -> Explanation:
        """The rules before an environment, and what is missing."""
        return Explanation.model_validate(self._get(f"{_path(key)}/lanes/{environment}/explain", release=release))

    def dry_run(self, key: ComponentKey, release: str, until: str) -> DryRun:
        """What would happen to a release now."""
        return DryRun.model_validate(self._get(f"{_path(key)}/dry-run", release=release, until=until))

    def freezes(self, namespace: str) -> list[FreezeView]:
        """A namespace's freezes."""
        return TypeAdapter(list[FreezeView]).validate_python(self._get(f"/namespaces/{namespace}/freezes"))

    def freeze(self, namespace: str, body: Mapping[str, object]) -> Accepted:
        """Hold gates shut; one effect per call."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        response = self._send("POST", f"/namespaces/{namespace}/freezes", headers=headers, json=body)
        return Accepted.model_validate(response.json())

    def unfreeze(self, namespace: str, name: str) -> Accepted:
        """Let go what a freeze holds."""
        return Accepted.model_validate(self._send("DELETE", f"/namespaces/{namespace}/freezes/{name}").json())

    def steer(
        self, key: ComponentKey, what: str, body: Mapping[str, object] | None = None, request: str = ""
    ) -> Accepted:
        """Change something at `what`, a path below the component; one effect per `request`."""
        headers = {"Idempotency-Key": request or uuid.uuid4().hex}
        response = self._send("POST", f"{_path(key)}/{what}", headers=headers, json=body)
        return Accepted.model_validate(response.json())

    def schedules(self) -> list[ScheduleView]:
        """The components that are built at times of their own."""
        return TypeAdapter(list[ScheduleView]).validate_python(self._get("/schedules"))

    def triggered(self, key: ComponentKey, request: str) -> DeliveryView:
        """What a trigger has come to."""
        return DeliveryView.model_validate(self._get(f"{_path(key)}/triggers/{request}"))

    def events(self, repository: str, poison: bool, limit: int) -> list[EventView]:
        """What senders have announced lately."""
        answer = self._get("/events", repository=repository, poison=str(poison).lower(), limit=str(limit))
        return TypeAdapter(list[EventView]).validate_python(answer)

    def sweep(self, repository: str, request: str) -> Accepted:
        """Look at a repository now."""
        headers = {"Idempotency-Key": request}
        response = self._send("POST", "/sweeps", headers=headers, json={"repository": repository})
        return Accepted.model_validate(response.json())

    def swept(self, repository: str, request: str) -> SweepView:
        """How far such a look is."""
        return SweepView.model_validate(self._get(f"/sweeps/{request}", repository=repository))

    def repositories(self, namespace: str = "") -> list[RepositoryView]:
        """The declared ones."""
        return TypeAdapter(list[RepositoryView]).validate_python(self._get("/repositories", namespace=namespace))

    def repository(self, key: ComponentKey) -> RepositoryView:
        """One of them."""
        return RepositoryView.model_validate(self._get(_repository(key)))

    def webhook(self, key: ComponentKey, action: str, address: str) -> Registered:
        """Register, unregister or check a Repository's webhook."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        response = self._send("POST", f"{_repository(key)}/{action}", headers=headers, json={"address": address})
        return Registered.model_validate(response.json())

    def rotate(self, key: ComponentKey, grace_seconds: float, address: str, request: str) -> Accepted:
        """Replace a webhook's secret."""
        body = {"grace_seconds": grace_seconds, "address": address}
        response = self._send(
            "POST", f"{_repository(key)}/rotate", headers={"Idempotency-Key": request}, json=body
        )
        return Accepted.model_validate(response.json())

    def rotation(self, key: ComponentKey, request: str) -> Rotated:
        """How far a rotation is."""
        return Rotated.model_validate(self._get(f"{_repository(key)}/rotations/{request}"))

    def sets(self, project: tuple[str, str]) -> list[SetView]:
        """A project's release sets, newest first; `project` is namespace and name."""
        return TypeAdapter(list[SetView]).validate_python(self._get(_sets(project)))

    def set(self, project: tuple[str, str], name: str) -> SetView:
        """One release set."""
        return SetView.model_validate(self._get(f"{_sets(project)}/{name}"))

    def steer_set(self, project: tuple[str, str], what: str, body: Mapping[str, object]) -> Accepted:
        """Start a set, or change something at `what`, a path below the project's sets."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        response = self._send("POST", f"{_sets(project)}{what}", headers=headers, json=body)
        return Accepted.model_validate(response.json())

    def wait_for(self, look: Callable[[], T], why_not: Callable[[T], str], timeout: float) -> T:
        """What `look` sees once `why_not` has nothing against it, or Trouble after `timeout` seconds.

        A server that is away for a moment (a restart, a new version) is waited for as well.
        """
        deadline = self.clock() + timeout
        while True:
            try:
                seen = look()
                against = why_not(seen)
                if not against:
                    return seen
            except Trouble as trouble:
                if not trouble.passing:
                    raise
                against = trouble.title
            if self.clock() >= deadline:
                raise Trouble(f"Not done within {timeout:g} s: {against}", "Look again: towpath status")
            self.pause(0.5)

    def _get(self, path: str, **query: str) -> Any:
        return self._send("GET", path, params={name: text for name, text in query.items() if text}).json()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, f"/api/v1{path}", **options)
        except httpx.HTTPError as error:
            where = self._http.base_url
            raise Trouble(
                f"Cannot reach Towpath at {where}: {type(error).__name__}.",
                "Is it up? See `towpath local status`, and TOWPATH_URL.",
                passing=True,
            ) from None
        if response.is_success:
            return response
        raise _trouble(response)


def api_of(context: typer.Context) -> Api:
    """The API that this run uses: the one it was handed, or the environment's."""
    if not isinstance(context.obj, Api):
        context.obj = Api.from_environment()
    return context.obj


def _path(key: ComponentKey) -> str:
    return f"/components/{key.namespace}/{key.name}"


def _repository(key: ComponentKey) -> str:
    return f"/repositories/{key.namespace}/{key.name}"


def _trouble(response: httpx.Response) -> Trouble:
    """A problem document in two lines: its title and reason, and its detail, which says what to do next."""
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict) or "detail" not in document:
        return Trouble(f"The server answered {response.status_code}.", "Is TOWPATH_URL the address of Towpath?")
    title = f"{document.get('title', '')} ({document.get('reason', '')})"
    return Trouble(title, str(document["detail"]), passing=response.status_code == httpx.codes.SERVICE_UNAVAILABLE)


def _sets(project: tuple[str, str]) -> str:
    return f"/projects/{project[0]}/{project[1]}/sets"
