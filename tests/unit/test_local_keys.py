"""The local stack's keys and certificates are what the processes read, made once, and nobody else's to read."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from deploy.local import admission, credentials
from deploy.local.settings import Settings
from model.proofkey import key_id
from worker.keys import proof_keys, seal_keys, signing_key
from worker.listener import Certificate


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", state=tmp_path / "state")


def test_workers_trust_what_the_server_and_those_who_act_for_comments_sign(settings: Settings) -> None:
    keys = [signing_key(path(settings)) for path in (credentials.signing_key, credentials.acting_key)]
    ids = [key_id(key.public_key().public_bytes_raw()) for key in keys]
    assert len(set(ids)) == 2
    assert list(proof_keys(credentials.proof_keys(settings))) == ids
    ring = seal_keys(credentials.seal_keys(settings))
    assert list(ring.secrets) == [ring.active]
    assert seal_keys(credentials.seal_keys(settings)).secrets == ring.secrets
    assert b"PRIVATE" not in credentials.proof_keys(settings).read_bytes()


def test_the_server_s_certificate_is_for_its_address_and_of_the_kept_authority(settings: Settings) -> None:
    files = admission.certificate(settings)
    first = files.certificate.read_bytes()
    Certificate(files.certificate, files.key)
    assert admission.certificate(settings).certificate.read_bytes() == first
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    moved = admission.certificate(replace(settings, bridge_address="10.1.2.3"))
    assert moved.certificate.read_bytes() != first
    for made in (first, moved.certificate.read_bytes()):
        x509.load_pem_x509_certificate(made).verify_directly_issued_by(authority)
    for path in settings.secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_cluster_is_not_kept_waiting(settings: Settings) -> None:
    [webhook] = admission.registration(settings)["webhooks"]
    assert (webhook["failurePolicy"], webhook["timeoutSeconds"], webhook["sideEffects"]) == ("Ignore", 3, "None")
    groups = {group for rule in webhook["rules"] for group in rule["apiGroups"]}
    assert groups == {"openchoreo.dev", "choreo.dev", "towpath.dev"}
