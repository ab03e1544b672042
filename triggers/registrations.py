"""Repositories for the API: what is declared, and what workflows do about their webhooks."""

import asyncio
from collections.abc import Callable

from model import ids
from model.actor import Actor
from model.failure import Conflict, InfrastructureFailure, NotFound, UserFailure
from model.registration import Registered, RegistrationAction, RegistrationRequest, Rotated, RotationRequest
from model.repository import normalise
from model.resources.declared import read
from model.resources.repository import Repository
from triggers.declared import Declared
from triggers.problem import Problem
from triggers.runs import Run, Runs
from triggers.views import Accepted, ConditionView, RepositoryView
from workflows.attributes import attributes

WAIT_SECONDS = 22.0
"""A little longer than the steps may take (workflows.effort), and shorter than the command line waits."""
_LOOK_SECONDS = 0.15


class Registrations:
    """What is done about webhooks.

    Args:
        runs: Temporal's runs.
        declared: the Repositories.
        address: the server's own, as providers reach it; empty when nobody has said.
        link: the address of a workflow in Temporal's Web UI.
    """

    def __init__(self, runs: Runs, declared: Declared, address: str, link: Callable[[str], str]) -> None:
        self._runs = runs
        self._declared = declared
        self._address = address
        self._link = link

    def all(self, namespace: str) -> list[RepositoryView]:
        """The declared Repositories by namespace and name; of all namespaces when it is empty."""
        objects = self._declared.repositories()
        return [_view(obj) for (where, _), obj in sorted(objects.items()) if namespace in ("", where)]

    def one(self, namespace: str, name: str) -> RepositoryView:
        """One of them.

        Raises:
            NotFound: `RepositoryNotFound`.
        """
        found = self._declared.repositories().get((namespace, name))
        if found is None:
            raise NotFound("RepositoryNotFound", f"There is no Repository {namespace}/{name}; apply one first.")
        return _view(found)

    async def act(
        self, action: RegistrationAction, namespace: str, name: str, address: str, actor: Actor, request: str
    ) -> Registered:
        """Register, unregister or check, and wait for the answer.

        Raises:
            NotFound: `RepositoryNotFound`.
            Conflict: `UnderWay`, something is being done about this webhook just now.
            InfrastructureFailure: there is no answer in time.
        """
        view = self.one(namespace, name)
        asked = RegistrationRequest(
            namespace=namespace, name=name, action=action, address=self._reached(address), actor=actor
        )
        workflow = ids.registration(namespace, name)
        summary = f"{action} the webhook of {namespace}/{name}, by {actor.name}"
        found_by = attributes(repository=view.repository, stage=action)
        if not await self._runs.start("Registration", asked, workflow, request, found_by, summary, again=True):
            under_way = await self._runs.describe(workflow)
            if under_way is None or under_way.request != request:
                message = f"Something is being done about the webhook of {name} just now; ask again in a moment."
                raise Conflict("UnderWay", message)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                run = await self._ended(workflow)
        except TimeoutError:
            raise InfrastructureFailure(
                "NoAnswer", f"There is no answer yet; is a control worker running? Look at {workflow} in Temporal."
            ) from None
        return await self._runs.state(run, Registered)

    async def rotate(
        self, namespace: str, name: str, address: str, actor: Actor, request: str, grace_seconds: float
    ) -> Accepted:
        """Replace the webhook's secret; goes on by itself.

        Raises:
            NotFound: `RepositoryNotFound`.
        """
        view = self.one(namespace, name)
        asked = RotationRequest(
            namespace=namespace,
            name=name,
            address=self._reached(address),
            actor=actor,
            grace_seconds=grace_seconds,
        )
        workflow = ids.rotation(namespace, name, request)
        summary = f"Another webhook secret for {namespace}/{name}, by {actor.name}"
        found_by = attributes(repository=view.repository, stage="preparing")
        started = await self._runs.start("Rotation", asked, workflow, request, found_by, summary)
        return Accepted(
            reason="Rotating",
            message=f"{name} gets another webhook secret; the old one counts until it is replaced and for "
            f"{grace_seconds:g} s after.",
            workflow=workflow,
            url=self._link(workflow),
            duplicate=not started,
        )

    async def rotation(self, namespace: str, name: str, request: str) -> Rotated:
        """How far a rotation is.

        Raises:
            NotFound: `RotationNotFound`.
        """
        run = await self._runs.describe(ids.rotation(namespace, name, request))
        if run is None:
            raise NotFound("RotationNotFound", f"There is no rotation {request} of {namespace}/{name}.")
        return await self._runs.state(run, Rotated)

    async def _ended(self, workflow: str) -> Run:
        while (run := await self._runs.describe(workflow)) is None or run.open:  # noqa: ASYNC110  (asked afar)
            await asyncio.sleep(_LOOK_SECONDS)
        return run

    def _reached(self, address: str) -> str:
        if address or self._address:
            return address or self._address
        raise Problem(
            409,
            "AddressUnknown",
            "Where do providers reach this server? Say it with --address, or set TOWPATH_PUBLIC_URL.",
        )


def _view(obj: dict[str, object]) -> RepositoryView:
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101  (an object of the API server)
    place = {"namespace": str(metadata.get("namespace") or "default"), "name": str(metadata["name"])}
    try:
        repository = read(Repository, obj)
        conditions = repository.status.conditions if repository.status else []
        return RepositoryView(
            **place,
            repository=normalise(repository.spec.url),
            url=repository.spec.url,
            provider=repository.spec.provider,
            own_secrets=repository.spec.webhook is not None,
            api=repository.spec.api is not None,
            conditions=tuple(
                ConditionView(type=each.type, status=each.status, reason=each.reason, message=each.message)
                for each in conditions
            ),
        )
    except UserFailure as failure:
        return RepositoryView(**place, problem=f"{failure.reason}: {failure.message}")
