"""How the cluster asks our server about manifests: its certificate, and where the cluster is told of it."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local import cluster
from deploy.local.configuration import write_text
from deploy.local.settings import Settings
from model.policy_check import ANNOTATIONS

NAME = "towpath"
TIMEOUT_SECONDS = 3
_VALIDITY = datetime.timedelta(days=3650)  # as the cluster's own: nobody should find the stack expired
_KINDS = {
    "choreo.dev/v1": ["components"],
    "openchoreo.dev/v1alpha1": ["components", "deploymentpipelines"],
    "towpath.dev/v1alpha1": ["freezes", "promotionpolicies", "repositories"],
}
# Nobody is asked about a component unless it has something that is checked here.
_CHECKED = " || ".join(f"'{name}' in object.metadata.annotations" for name in ANNOTATIONS)
_WORTH_ASKING = f"request.resource.resource != 'components' || (has(object.metadata.annotations) && ({_CHECKED}))"


@dataclass(frozen=True)
class Files:
    """The certificate that the server shows, its key, and the authority that the cluster trusts for it."""

    authority: Path
    certificate: Path
    key: Path


def certificate(settings: Settings) -> Files:
    """The files, made when they are not there or are for another address."""
    folder = settings.secrets
    files = Files(folder / "admission-ca.pem", folder / "admission.pem", folder / "admission-key.pem")
    if not (files.key.exists() and _is_for(files.certificate, settings.bridge_address)):
        _make(settings, files)
    return files


def register(settings: Settings) -> None:
    """Have the cluster ask our server before it takes a manifest of these kinds.

    Raises:
        StackError: the API server refused.
    """
    cluster.apply(settings, "--filename=-", stdin=json.dumps(registration(settings)))


def unregister(settings: Settings) -> None:
    """Have the cluster ask nobody any more. Raises ``StackError`` when it cannot be told."""
    cluster.kubectl(
        settings, "delete", "--ignore-not-found", "--request-timeout=10s", "validatingwebhookconfiguration", NAME
    )


def registration(settings: Settings) -> dict[str, Any]:
    """The cluster's ValidatingWebhookConfiguration: which manifests, and where it asks."""
    authority = base64.b64encode(certificate(settings).authority.read_bytes()).decode()
    url = f"https://{settings.bridge_address}:{settings.admission_port}/admission"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/part-of": "towpath"}},
        "webhooks": [
            {
                "name": "manifests.towpath.dev",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": authority},
                # Nobody should wait for Towpath to apply a manifest; what is missed is found by the promotion.
                "failurePolicy": "Ignore",
                "matchPolicy": "Equivalent",
                "sideEffects": "None",
                "timeoutSeconds": TIMEOUT_SECONDS,
                "rules": [
                    {
                        "apiGroups": [version.partition("/")[0]],
                        "apiVersions": [version.partition("/")[2]],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": resources,
                        "scope": "Namespaced",
                    }
                    for version, resources in _KINDS.items()
                ],
                "matchConditions": [{"name": "worth-asking", "expression": _WORTH_ASKING}],
            }
        ],
    }


def _is_for(path: Path, address: str) -> bool:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)


def _make(settings: Settings, files: Files) -> None:
    files.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, authority = _authority(files)
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.IPAddress(ipaddress.ip_address(settings.bridge_address))
    made = (
        _builder("towpath-server", key)
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_text(files.key, _pem(key), mode=0o600)
    write_text(files.certificate, made.public_bytes(Encoding.PEM).decode(), mode=0o600)


def _authority(files: Files) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    kept = files.authority.with_name("admission-ca-key.pem")
    if kept.exists() and files.authority.exists():
        key = load_pem_private_key(kept.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key, x509.load_pem_x509_certificate(files.authority.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("towpath-admission-ca", key)
    made = (
        builder.issuer_name(_name("towpath-admission-ca"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_text(kept, _pem(key), mode=0o600)
    write_text(files.authority, made.public_bytes(Encoding.PEM).decode(), mode=0o600)
    return key, made


def _builder(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALIDITY)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
