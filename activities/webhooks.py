"""Repositories' webhooks at their providers: registered, checked, taken away, their secrets replaced."""

import time

from temporalio import activity

from activities.apiserver import ApiServer
from activities.declarations import TOWPATH
from activities.hosting import EVERYTHING, HookWish, Hosting
from activities.hosts import Hosts
from activities.webhook_secrets import WebhookSecrets
from model.failure import NotFound, UserFailure
from model.hosting import FailedDelivery, HostedHook
from model.registration import (
    Fault,
    Registered,
    RegistrationRequest,
    RotationRequest,
    RotationStep,
    faults_of,
    hook_address,
    own,
)
from model.resources.declared import read
from model.resources.repository import Repository, SecretKeyReference

LOOK_BACK_SECONDS = 86_400.0
MANAGER = "towpath-webhooks"


class Webhooks:
    """Speaks to providers about their webhooks, and tells on the Repository how they are.

    Args:
        server: the control plane's API server.
        hosts: opens providers.
        secrets: the webhook secrets.
    """

    def __init__(self, server: ApiServer, hosts: Hosts, secrets: WebhookSecrets) -> None:
        self._server = server
        self._hosts = hosts
        self._secrets = secrets

    @activity.defn(name="webhooks.register")
    async def register(self, request: RegistrationRequest) -> Registered:
        """Make the webhook, or put the one that is there right; a second one that leads here is taken away.

        Raises:
            NotFound: `RepositoryNotFound`, `NoProviderApi`, `TokenMissing`.
            UserFailure: `NoWebhookSecret`, `SecretNotOurs`, and what `activities.hosting.Hosting` raises.
            InfrastructureFailure: `ProviderUnavailable`.
        """
        repository = await self._repository(request.namespace, request.name)
        reference = _reference(repository)
        secret = await self._secrets.ensure(request.namespace, reference.name, reference.key)
        address = hook_address(request.address, repository.spec.provider)
        # Told before there is a webhook: it is what makes the servers read the secret.
        await self._tell(repository, "SecretsReadable", True, "Readable", "The newest webhook secret can be read.")
        async with self._hosts.open(repository) as provider:
            hook, made = await self._installed(provider, HookWish(address, secret))
        what = "made" if made else "put right"
        message = f"The webhook at {repository.spec.provider} is {what}."
        await self._tell(repository, "WebhookRegistered", True, "Registered", message)
        return _registered(repository, address, hook, message)

    @activity.defn(name="webhooks.unregister")
    async def unregister(self, request: RegistrationRequest) -> Registered:
        """Take every webhook away that leads here. Raises as `register`."""
        repository = await self._repository(request.namespace, request.name)
        address = hook_address(request.address, repository.spec.provider)
        async with self._hosts.open(repository) as provider:
            found = own(await provider.hooks(), address)
            for hook in found:
                await provider.delete_hook(hook.id)
        message = "The webhook is taken away." if found else "There was no webhook that leads here."
        await self._tell(repository, "WebhookRegistered", False, "Unregistered", message)
        return _registered(repository, address, None, message)

    @activity.defn(name="webhooks.check")
    async def check(self, request: RegistrationRequest) -> Registered:
        """What is wrong with the webhook, by the provider's own word. Raises as `register`."""
        repository = await self._repository(request.namespace, request.name)
        address = hook_address(request.address, repository.spec.provider)
        faults = await self._unreadable(repository)
        async with self._hosts.open(repository) as provider:
            hooks = await provider.hooks()
            failed, told = await _failed(provider, address)
        faults += faults_of(hooks, address, EVERYTHING, failed)
        ours = own(hooks, address)
        first = faults[0] if faults else None
        reason = first.reason if first else "Registered"
        message = first.message if first else f"The webhook is there and announces what it has to. {told}".rstrip()
        await self._tell(repository, "WebhookRegistered", first is None, reason, message)
        found = _registered(repository, address, ours[0] if ours else None, message)
        return found.model_copy(update={"faults": faults})

    @activity.defn(name="webhooks.prepare")
    async def prepare(self, request: RotationRequest) -> None:
        """Let a fresh secret count beside the present one. Raises as `register`."""
        repository = await self._repository(request.namespace, request.name)
        reference = _reference(repository)
        await self._secrets.prepare(request.namespace, reference.name, reference.key)
        await self._tell(
            repository, "SecretsReadable", True, "Rotating", "A fresh secret counts beside the present."
        )

    @activity.defn(name="webhooks.install")
    async def install(self, request: RotationRequest) -> None:
        """Have the provider sign with the fresh secret. Raises as `register`."""
        repository = await self._repository(request.namespace, request.name)
        reference = _reference(repository)
        secret = await self._secrets.newest(request.namespace, reference.name, reference.key)
        if not secret:
            raise NotFound("SecretNotFound", f"Secret {request.namespace}/{reference.name} is gone; rotate again.")
        address = hook_address(request.address, repository.spec.provider)
        async with self._hosts.open(repository) as provider:
            await self._installed(provider, HookWish(address, secret))
        await self._secrets.told(request.namespace, reference.name, reference.key, secret)
        message = "The provider signs with the newest secret."
        await self._tell(repository, "WebhookRegistered", True, "Registered", message)

    @activity.defn(name="webhooks.promote")
    async def promote(self, step: RotationStep) -> None:
        """Make the fresh secret the secret; the old one counts until `step.until`."""
        repository = await self._repository(step.request.namespace, step.request.name)
        reference = _reference(repository)
        await self._secrets.promote(step.request.namespace, reference.name, reference.key, step.until)
        await self._tell(repository, "SecretsReadable", True, "Rotated", "The old secret counts for a while.")

    @activity.defn(name="webhooks.retire")
    async def retire(self, request: RotationRequest) -> None:
        """Drop the old secret, unless a later rotation has given it more time."""
        repository = await self._repository(request.namespace, request.name)
        reference = _reference(repository)
        await self._secrets.retire(request.namespace, reference.name, reference.key)
        await self._tell(repository, "SecretsReadable", True, "Readable", "The newest webhook secret can be read.")

    async def _installed(self, provider: Hosting, wish: HookWish) -> tuple[HostedHook, bool]:
        """The one webhook that leads here, with this secret; whether it had to be made."""
        ours = own(await provider.hooks(), wish.url)
        if not ours:
            return await provider.create_hook(wish), True
        # The secret cannot be asked for: it is set whatever it was.
        updated = await provider.update_hook(ours[0].id, wish)
        for superfluous in ours[1:]:
            await provider.delete_hook(superfluous.id)
        return updated, False

    async def _repository(self, namespace: str, name: str) -> Repository:
        found = await self._server.get(TOWPATH, "Repository", name, namespace)
        if found is None:
            raise NotFound("RepositoryNotFound", f"There is no Repository {namespace}/{name}; apply one first.")
        return read(Repository, found)

    async def _unreadable(self, repository: Repository) -> tuple[Fault, ...]:
        """The secrets that cannot be read, told on the object as well."""
        namespace = repository.metadata.namespace
        references = repository.spec.webhook.secret_refs if repository.spec.webhook else []
        found: list[Fault] = []
        for reference in references:
            where = f"key {reference.key} of Secret {namespace}/{reference.name}"
            try:
                if not await self._secrets.newest(namespace, reference.name, reference.key):
                    found.append(Fault(reason="SecretMissing", message=f"There is no {where}; register makes it."))
            except UserFailure as failure:
                found.append(Fault(reason=failure.reason, message=failure.message))
        if found:
            await self._tell(repository, "SecretsReadable", False, found[0].reason, found[0].message)
        elif references:
            await self._tell(repository, "SecretsReadable", True, "Readable", "All webhook secrets can be read.")
        return tuple(found)

    async def _tell(self, repository: Repository, kind: str, holds: bool, reason: str, message: str) -> None:
        """Put a condition on the object; it has changed only when its status has."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        wanted = "True" if holds else "False"
        known = {each.type: each for each in (repository.status.conditions if repository.status else [])}
        before = known.get(kind)
        since = before.last_transition_time if before and before.status == wanted else ""
        condition = {
            "type": kind,
            "status": wanted,
            "reason": reason,
            "message": message[:1024],
            "lastTransitionTime": since or now,
            "observedGeneration": repository.metadata.generation,
        }
        metadata = {"name": repository.metadata.name, "namespace": repository.metadata.namespace}
        told = {"apiVersion": TOWPATH, "kind": "Repository", "metadata": metadata}
        await self._server.apply(
            {**told, "status": {"conditions": [condition]}}, f"{MANAGER}-{kind.lower()}", subresource="status"
        )


async def _failed(provider: Hosting, address: str) -> tuple[list[FailedDelivery], str]:
    """What did not arrive lately, and a word where the provider does not say."""
    try:
        return await provider.failed_deliveries(address, time.time() - LOOK_BACK_SECONDS), ""
    except UserFailure as failure:
        if failure.reason != "NotOffered":
            raise
        return [], "Whether its deliveries arrive this provider does not tell."


def _reference(repository: Repository) -> SecretKeyReference:
    webhook = repository.spec.webhook
    if webhook is None:
        raise UserFailure(
            "NoWebhookSecret",
            f"Repository {repository.metadata.name}: name a Secret in spec.webhook.secretRefs; it is made when it "
            "is missing. (The platform's own secret is never handed to a provider.)",
        )
    return webhook.secret_refs[0]


def _registered(repository: Repository, address: str, hook: HostedHook | None, message: str) -> Registered:
    return Registered(
        namespace=repository.metadata.namespace,
        name=repository.metadata.name,
        provider=repository.spec.provider,
        address=address,
        hook=hook.id if hook else "",
        events=hook.events if hook else (),
        message=message,
    )
