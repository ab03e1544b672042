"""An image registry over its HTTP API (OCI distribution specification 1.1): digests, and small artifacts."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import urljoin

import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from model.failure import Failure, InfrastructureFailure, NotFound
from model.image import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MANIFESTS = (
    OCI_MANIFEST,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
MANIFEST_LIMIT = 4 * 1024 * 1024
_REPOSITORY = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Blob(NamedTuple):
    """A piece of an artifact: its digest and its size in bytes."""

    digest: str
    size: int


class Registry:
    """One registry; repositories are given with its `host[:port]/` in front, as images are.

    Refused credentials fail at once; answers of 429 and 5xx and broken connections are tried again for
    some seconds and then raise `InfrastructureFailure("RegistryUnavailable")`.

    Args:
        host: `host[:port]`.
        insecure: without TLS, for registries on the own machine.
        basic: user and password, where the registry wants them.
        tries: how often a failing request is sent.
    """

    def __init__(
        self,
        host: str,
        insecure: bool = False,
        basic: tuple[str, str] | None = None,
        tries: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._host = host
        self._url = f"{'http' if insecure else 'https'}://{host}"
        self._basic = basic
        self._tries = tries
        self._tokens: dict[str, str] = {}
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(30, connect=5), transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def digest_of(self, repository: str, reference: str) -> str:
        """The digest that the registry serves for a tag, or for a digest; empty when it has none.

        Raises:
            InfrastructureFailure: `RegistryUnavailable`, `RegistryRefused`.
        """
        headers = {"Accept": ", ".join(_MANIFESTS)}
        answer = await self._send("HEAD", repository, f"manifests/{_reference(reference)}", headers=headers)
        if answer.status_code == 404:
            return ""
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):
            raise InfrastructureFailure(
                "RegistryUnavailable", f"{self._host} says no digest for {repository}:{reference}."
            )
        return str(digest)

    async def put_blob(self, repository: str, content: bytes) -> Blob:
        """Store bytes; storing the same again is fine."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        started = await self._send("POST", repository, "blobs/uploads/")
        location = httpx.URL(urljoin(f"{self._url}/", started.headers["Location"]))
        await self._send("PUT", repository, str(location.copy_merge_params({"digest": digest})), content=content)
        return Blob(digest, len(content))

    async def get_blob(self, repository: str, digest: str) -> bytes:
        """The bytes of a blob.

        Raises:
            NotFound: `BlobNotFound`.
        """
        answer = await self._send("GET", repository, f"blobs/{digest}")
        if answer.status_code == 404:
            raise NotFound("BlobNotFound", f"{repository} has no {digest} (any more).")
        return answer.content

    async def put_artifact(
        self,
        repository: str,
        tag: str,
        artifact_type: str,
        layers: Sequence[Blob],
        media_type: str,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Let a tag stand for these blobs, in this order (OCI image specification, "Guidelines for artifacts")."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": {"mediaType": _EMPTY_TYPE, **_descriptor(_empty())},
            "layers": [{"mediaType": media_type, **_descriptor(layer)} for layer in layers],
            "annotations": dict(annotations or {}),
        }
        body = json.dumps(manifest).encode()
        path, headers = f"manifests/{_reference(tag)}", {"Content-Type": OCI_MANIFEST}
        answer = await self._send("PUT", repository, path, content=body, headers=headers, accepted=(400, 404))
        if answer.status_code in (400, 404):
            # The first artifact of a repository: it lacks the empty configuration that all of them share.
            await self.put_blob(repository, _EMPTY)
            await self._send("PUT", repository, path, content=body, headers=headers)

    async def layers_of(self, repository: str, tag: str) -> tuple[Blob, ...] | None:
        """The blobs that a tag stands for, None when there is no such tag."""
        answer = await self._send(
            "GET", repository, f"manifests/{_reference(tag)}", headers={"Accept": OCI_MANIFEST}
        )
        if answer.status_code == 404:
            return None
        try:
            layers = json.loads(answer.content[:MANIFEST_LIMIT])["layers"]
            return tuple(Blob(str(layer["digest"]), int(layer["size"])) for layer in layers)
        except (ValueError, KeyError, TypeError):
            raise InfrastructureFailure(
                "RegistryUnavailable", f"What {self._host} answers for {repository}:{tag} is no manifest."
            ) from None

    async def read_log(self, reference: str, offset: int = 0) -> bytes:
        """A kept build log from `offset` (bytes) on; empty when nothing has been added since.

        Args:
            reference: `host[:port]/path:tag`, as builds report it.
            offset: how much the caller has already.

        Raises:
            NotFound: `LogNotFound`.
            InfrastructureFailure: `RegistryUnavailable`, `RegistryRefused`.
        """
        repository, _, tag = reference.rpartition(":")
        layers = await self.layers_of(repository, tag)
        if layers is None:
            raise NotFound("LogNotFound", f"There is no log at {reference} (yet).")
        content = bytearray()
        begin = 0
        for layer in layers:
            if begin + layer.size > offset:
                blob = await self.get_blob(repository, layer.digest)
                content += blob[max(0, offset - begin) :]
            begin += layer.size
        return bytes(content)

    def _path(self, repository: str) -> str:
        path = repository.removeprefix(f"{self._host}/")
        if path == repository or not _REPOSITORY.fullmatch(path):
            raise NotFound("RepositoryNotFound", f"{repository[:200]!r} is no repository of {self._host}.")
        return path

    async def _send(
        self,
        method: str,
        repository: str,
        what: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: Sequence[int] = (),
    ) -> httpx.Response:
        """One request with its tries. 404 is an answer for reading, anything else unexpected a failure."""
        path = self._path(repository)
        url = what if what.startswith(("http://", "https://")) else f"{self._url}/v2/{path}/{what}"
        if not url.startswith(f"{self._url}/"):
            raise InfrastructureFailure("RegistryUnavailable", f"{self._host} sends uploads to another host.")
        tries = AsyncRetrying(
            stop=stop_after_attempt(self._tries),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            retry=retry_if_exception(_is_passing),
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                return await self._once(method, path, url, content, headers or {}, accepted)
        raise AssertionError("the tries above end with an answer or a failure")

    async def _once(
        self,
        method: str,
        path: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str],
        accepted: Sequence[int],
    ) -> httpx.Response:
        try:
            answer = await self._client.request(
                method, url, content=content, headers={**headers, **self._authorization(path)}
            )
            if answer.status_code == 401 and await self._authorise(path, answer):
                answer = await self._client.request(
                    method, url, content=content, headers={**headers, **self._authorization(path)}
                )
        except httpx.HTTPError as error:
            raise InfrastructureFailure(
                "RegistryUnavailable", f"{self._host} cannot be reached: {error or type(error).__name__}"
            ) from error
        status = answer.status_code
        if status in (401, 403):
            raise InfrastructureFailure(
                "RegistryRefused", f"{self._host} refuses our credentials for {path}; check the push secret."
            )
        absent = status == 404 and method in ("GET", "HEAD")
        if answer.is_success or absent or status in accepted:
            return answer
        reason = "RegistryUnavailable" if status == 429 or status >= 500 else "RegistryAnswer"
        told = answer.text[:200]
        raise InfrastructureFailure(reason, f"{self._host} answered {status} to {method} {path}: {told}")

    def _authorization(self, path: str) -> dict[str, str]:
        token = self._tokens.get(path)
        return {"Authorization": token} if token else {}

    async def _authorise(self, path: str, answer: httpx.Response) -> bool:
        """Do what the challenge asks (distribution specification, token authentication); False when we cannot."""
        if self._basic is None:
            return False
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        auth = httpx.BasicAuth(*self._basic)
        if scheme.lower() == "basic":
            self._tokens[path] = next(auth.auth_flow(httpx.Request("GET", self._url))).headers["Authorization"]
            return True
        fields = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or not fields.get("realm", "").startswith("https://"):
            return False
        query = {"service": fields.get("service", ""), "scope": f"repository:{path}:pull,push"}
        granted = await self._client.get(fields["realm"], params=query, auth=auth)
        if not granted.is_success:
            return False
        document: dict[str, Any] = granted.json()
        self._tokens[path] = f"Bearer {document.get('token') or document.get('access_token') or ''}"
        return True


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, Failure) and error.reason == "RegistryUnavailable"


def _reference(text: str) -> str:
    if not is_digest(text) and not _TAG.fullmatch(text):
        raise NotFound("TagNotFound", f"{text[:80]!r} is no tag or digest.")
    return text


def _empty() -> Blob:
    return Blob(f"sha256:{hashlib.sha256(_EMPTY).hexdigest()}", len(_EMPTY))


def _descriptor(blob: Blob) -> dict[str, Any]:
    return {"digest": blob.digest, "size": blob.size}
