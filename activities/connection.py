"""The HTTP side of an API server: configuration, authentication, time limits, typed errors.

Stands on `kubernetes.aio`'s configuration, authentication and transport. Its models are left aside since
they are strict: a partial or newer object would raise `ValidationError`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from activities import apierrors
from model.failure import InfrastructureFailure

CONNECTIONS_LIMIT = 4000
PLAIN = aiohttp.ClientTimeout(total=30, connect=5)


class Connection:
    """Sends requests to one API server; paths are given without a leading slash.

    Raises what `activities.apierrors` makes of the answers.
    """

    def __init__(self, client: Any, kubeconfig: str | None = None) -> None:
        self._client = client
        self._kubeconfig = kubeconfig

    @classmethod
    async def open(cls, kubeconfig: str | None) -> Self:
        """A connection as the file says, or (None) as a pod's service account; nothing is sent yet.

        Raises:
            InfrastructureFailure: `KubernetesAccessMissing`, no such file or not in a cluster.
        """
        return cls(await _client(kubeconfig), kubeconfig)

    async def close(self) -> None:
        """Close the pool; what is still streaming ends."""
        await self._client.close()

    async def json(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """One request and its whole answer, within 30 seconds."""
        async with self.stream(method, path, query or {}, PLAIN, body, content_type) as response:
            try:
                answer = json.loads(await response.read())
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise apierrors.unreachable(error) from error
        if not isinstance(answer, dict):
            raise apierrors.unreachable(ValueError("the answer is not an object"))
        return answer

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        timeout: aiohttp.ClientTimeout,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful response whose body is read by the caller."""
        response = await self._send(method, path, query, timeout, body, content_type)
        if response.status == 401:
            # Tokens of exec plugins and rotated kubeconfigs end: read the configuration again, once.
            response.release()
            await self._client.close()
            self._client = await _client(self._kubeconfig)
            response = await self._send(method, path, query, timeout, body, content_type)
        try:
            if response.status >= 400:
                raise apierrors.failure(response.status, await _status(response))
            yield response
        finally:
            # A stream that is left early must not go back into the pool half read.
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        timeout: aiohttp.ClientTimeout,
        body: dict[str, Any] | None,
        content_type: str,
    ) -> aiohttp.ClientResponse:
        headers = {"Content-Type": content_type, "Accept": "application/json, */*"}
        try:
            serialised = await self._client.param_serialize(
                method, "/" + path, header_params=headers, auth_settings=["BearerToken"]
            )
            _, url, sent, _, _ = serialised
            answer = await self._client.call_api(
                method, f"{url}?{urlencode(query)}" if query else url, sent, body, _request_timeout=timeout
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise apierrors.unreachable(error) from error
        response: aiohttp.ClientResponse = answer.response
        return response


async def _client(kubeconfig: str | None) -> Any:
    configuration = kubernetes_client.Configuration()
    # Every watch and followed log holds a connection for as long as it lasts.
    configuration.connection_pool_maxsize = CONNECTIONS_LIMIT
    try:
        if kubeconfig is None:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
        else:
            await asyncio.to_thread(_readable, kubeconfig)
            await kubernetes_config.load_kube_config(
                config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
            )
    except (kubernetes_config.ConfigException, OSError) as error:
        raise InfrastructureFailure(
            "KubernetesAccessMissing",
            f"No access to a Kubernetes API server ({error}); set KUBECONFIG or run inside a cluster.",
        ) from error
    return kubernetes_client.ApiClient(configuration)


def _readable(path: str) -> None:
    """Raise OSError when it is not: the loader takes a missing file for an empty one."""
    Path(path).expanduser().read_bytes()


async def _status(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        text = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise apierrors.unreachable(error) from error
    try:
        answer = json.loads(text)
    except ValueError:
        return {"message": text[:300].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {}
