"""Reading what a registry serves: manifests and image configurations, by anybody's address.

The distribution specification (https://github.com/opencontainers/distribution-spec) and its token authentication.
Whatever is read is checked against its digest, so it does not matter over which storage a registry serves it.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import structlog

from activities.outbound import Outbound
from model.failure import InfrastructureFailure, NotFound, UserFailure
from model.image import is_digest
from model.image_name import HUB

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
LIMIT = 4 * 1024 * 1024
TOKEN_LIMIT = 256 * 1024
SECONDS = 30.0
TAG_PAGE, TAG_PAGES = 1000, 20
_HUB_API = "registry-1.docker.io"
_REDIRECTS = 3
_CHALLENGE = re.compile(r'(\w{1,32})="([^"]{0,2048})"')
# Registries without TLS give tokens without TLS, and nobody else does.
_TOKEN_FIELDS = ("token", "access_token")

log = structlog.get_logger(__name__)


class Served(NamedTuple):
    """A manifest as it was served: its digest, media type and content."""

    digest: str
    media_type: str
    document: dict[str, Any]


class Credentials:
    """Users and passwords of registries, from a file as Docker keeps them (`config.json`, the content of a Secret
    of type `kubernetes.io/dockerconfigjson`). It is read at every use: Secrets rotate unannounced."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def of(self, repository: str) -> tuple[str, str] | None:
        """User and password for a repository: the entry of the longest path that it is below; None for none.

        Raises:
            InfrastructureFailure: `CredentialsUnreadable`; what is in the file is not quoted.
        """
        if self._path is None:
            return None
        try:
            entries = json.loads(self._path.read_text()).get("auths", {})
            found = {_place(name): entry for name, entry in entries.items() if _covers(_place(name), repository)}
            if not found:
                return None
            entry = found[max(found, key=len)]
            if "auth" in entry:
                user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
                return user, password
            return str(entry["username"]), str(entry["password"])
        except (OSError, ValueError, AttributeError, KeyError, TypeError, binascii.Error):
            # Without the cause: a decoder's message may quote the value.
            raise InfrastructureFailure(
                "CredentialsUnreadable", "The file of registry credentials is not one that Docker would read."
            ) from None


class ImageReader:
    """Reads from any registry.

    Args:
        outbound: makes the clients.
        credentials: of private registries; the others are read as anybody.
        insecure: hosts (`host[:port]`) that are spoken to without TLS.
    """

    def __init__(
        self, outbound: Outbound, credentials: Credentials | None = None, insecure: frozenset[str] = frozenset()
    ) -> None:
        self._outbound = outbound
        self._credentials = credentials or Credentials()
        self._insecure = insecure

    async def manifest(self, repository: str, reference: str) -> Served:
        """What a tag or digest of a repository (`host/path`) leads to now.

        Raises:
            NotFound: `ImageNotFound`.
            UserFailure: `RegistryRefused`, `NotAnImage`, or what `activities.outbound` refuses.
            InfrastructureFailure: `RegistryUnavailable`.
        """
        accept = ", ".join(sorted(INDEXES | MANIFESTS))
        content, headers = await self._get(repository, f"manifests/{reference}", {"Accept": accept})
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if is_digest(reference) and digest != reference:
            raise _broken(repository)
        document = _json(content, repository)
        media_type = str(document.get("mediaType") or headers.get("content-type", "").partition(";")[0].strip())
        return Served(digest, media_type, document)

    async def tags(self, repository: str) -> AsyncIterator[tuple[str, ...]]:
        """A repository's tags, page by page, as many as `TAG_PAGES` pages hold.

        Raises:
            As `manifest`.
        """
        what, last = f"tags/list?n={TAG_PAGE}", ""
        for _ in range(TAG_PAGES):
            content, headers = await self._get(repository, what, {})
            listed = _json(content, repository).get("tags")
            page = tuple(tag for tag in listed if isinstance(tag, str)) if isinstance(listed, list) else ()
            if page:
                yield page
            # The next page's address names the last tag of this one (distribution specification, "Listing Tags").
            if 'rel="next"' not in headers.get("link", "") or not page or page[-1] == last:
                return
            last = page[-1]
            what = f"tags/list?n={TAG_PAGE}&last={quote(last, safe='')}"
        log.warning("too many tags to look at", repository=repository)

    async def configuration(self, repository: str, digest: str) -> dict[str, Any]:
        """An image's configuration blob.

        Raises:
            As `manifest`.
        """
        content, _ = await self._get(repository, f"blobs/{digest}", {})
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise _broken(repository)
        return _json(content, repository)

    async def _get(self, repository: str, what: str, headers: Mapping[str, str]) -> tuple[bytes, httpx.Headers]:
        host, _, path = repository.partition("/")
        api = _HUB_API if host == HUB else host
        base = f"{'http' if api in self._insecure else 'https'}://{api}"
        try:
            async with self._outbound.client(base, seconds=SECONDS, limit=LIMIT) as client:
                url = f"/v2/{path}/{what}"
                answer = await client.get(url, headers=headers)
                if answer.status_code == 401:
                    granted = await self._authorise(repository, base, answer)
                    answer = await client.get(url, headers={**headers, "Authorization": granted})
            # Blobs lie on storage elsewhere; it is told no credentials, and the digest says whether it is right.
            answer = await self._redirected(answer, base)
        except httpx.HTTPError as error:
            raise InfrastructureFailure(
                "RegistryUnavailable", f"{host} cannot be read: {type(error).__name__}."
            ) from None
        return self._content(repository, what, answer), answer.headers

    async def _redirected(self, answer: httpx.Response, base: str) -> httpx.Response:
        for _ in range(_REDIRECTS):
            if answer.status_code not in (301, 302, 303, 307, 308):
                return answer
            target = httpx.URL(base).join(answer.headers.get("location", ""))
            if target.scheme != "https" and not base.startswith("http://"):
                raise UserFailure("RegistryRefused", "The registry sends us to an address without TLS.")
            origin = str(target.copy_with(path="/", query=None, fragment=None))
            async with self._outbound.client(origin, seconds=SECONDS, limit=LIMIT) as client:
                answer = await client.get(target)
        return answer

    @staticmethod
    def _content(repository: str, what: str, answer: httpx.Response) -> bytes:
        status = answer.status_code
        if answer.is_success:
            return answer.content
        name = f"{repository}:{what.partition('/')[2]}".replace(":sha256:", "@sha256:")
        if status == 404:
            raise NotFound("ImageNotFound", f"There is no {name}.")
        if status in (401, 403):
            raise UserFailure(
                "RegistryRefused",
                f"{repository.partition('/')[0]} does not let us read {name}; it may be private or not exist. See "
                "TOWPATH_REGISTRY_CREDENTIALS.",
            )
        if status == 429 or status >= 500:
            raise InfrastructureFailure("RegistryUnavailable", f"The registry of {name} answered {status}.")
        raise UserFailure("RegistryRefused", f"The registry answered {status} for {name}.")

    async def _authorise(self, repository: str, base: str, answer: httpx.Response) -> str:
        """The header that the challenge asks for (distribution specification, token authentication)."""
        basic = self._credentials.of(repository)
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        plain = _basic(*basic) if basic else ""
        if scheme.lower() == "basic" and plain:
            return plain
        fields = dict(_CHALLENGE.findall(rest[:8192]))
        realm = fields.get("realm", "")
        if scheme.lower() != "bearer" or not (realm.startswith("https://") or base.startswith("http://")):
            return plain
        query = {"service": fields.get("service", ""), "scope": f"repository:{repository.partition('/')[2]}:pull"}
        headers = {"Authorization": plain} if plain else {}
        target = httpx.URL(realm)
        origin = str(target.copy_with(path="/", query=None, fragment=None))
        async with self._outbound.client(origin, headers=headers, seconds=SECONDS, limit=TOKEN_LIMIT) as client:
            granted = await client.get(target.copy_merge_params(query))
        try:
            document = granted.json() if granted.is_success else {}
        except ValueError:
            document = {}
        token = next((document[name] for name in _TOKEN_FIELDS if isinstance(document.get(name), str)), "")
        return f"Bearer {token}" if token else plain


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _place(name: str) -> str:
    """`https://index.docker.io/v1/` and the like, as `host/path`."""
    place = name.removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        place = place.removesuffix(version)
    return HUB if place in ("index.docker.io", "registry-1.docker.io") else place


def _covers(place: str, repository: str) -> bool:
    return repository == place or repository.startswith(f"{place}/")


def _json(content: bytes, repository: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UserFailure("NotAnImage", f"What the registry serves for {repository} is no manifest.")
    return document


def _broken(repository: str) -> InfrastructureFailure:
    return InfrastructureFailure(
        "RegistryUnavailable", f"The registry serves something else for {repository} than its digest says."
    )
