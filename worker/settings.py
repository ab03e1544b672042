"""Everything a process of Towpath is told from outside, read once from the environment."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TemporalSettings(BaseSettings):
    """Where Temporal is. With `tls_*` set (paths of PEM files) workers dial out over mutual TLS."""

    model_config = SettingsConfigDict(env_prefix="TEMPORAL_")

    address: str = "127.0.0.1:7233"
    namespace: str = "towpath"
    ui_url: str = ""
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


class BuildSettings(BaseSettings):
    """What a build plane has.

    `builders` and `runtimes` are JSON objects of image references: builders by `dockerfile`, `nodejs`,
    `python`; runtimes by `nodejs`, `python`. `hub` stands in for docker.io (`host[:port]/path`, empty for
    the real one). Sizes are Kubernetes quantities.
    """

    model_config = SettingsConfigDict(env_prefix="TOWPATH_BUILD_")

    builders: dict[str, str] = {}
    runtimes: dict[str, str] = {}
    hub: str = ""
    namespace: str = "towpath-build-plane"
    service_account: str = "towpath-build"
    seccomp_profile: str = "towpath-buildah.json"
    cpu_limit: str = "2"
    memory_limit: str = "2Gi"


class Settings(BaseSettings):
    """Settings of every kind of process; each reads what it needs.

    `kubeconfig` empty means the in-cluster credentials. `registry` is host[:port] of the image registry,
    `registry_insecure` allows plain HTTP to it (the local stack). `registry_credentials` is a file as Docker keeps
    them (`config.json`), with which a build worker reads private registries that images are taken in from.
    `plane` names the plane that a build or data worker serves. `signing_key` (the server's), `proof_keys` and
    `seal_keys` (a control worker's) are files
    of keys, see docs/signals.md. `admission_listen` (empty: not at all) is where the server answers the cluster,
    with a certificate and its key from PEM files. `prometheus` is the address of the server that a data worker
    asks when a policy names none, `prometheus_servers` a JSON object of the addresses of those that policies
    may name. `plane_builds` is a JSON object of how many builds run at once, by build plane, where its
    ClusterWorkflowPlane does not say. `outbound_hosts` (a JSON list of `host` or `host:port`) are those
    that declared addresses of webhooks, providers and repositories may name although they lead to the very machine
    that calls; with `outbound_private` false, private networks too are closed to all others. `public_url` is the
    server's address as providers reach it, for webhooks that are registered. `acting_key` (a control worker's) is
    the file of a private key by which commands in comments speak for those who wrote them; its public half is
    among the proof keys.
    """

    model_config = SettingsConfigDict(env_prefix="TOWPATH_")

    temporal: TemporalSettings = Field(default_factory=TemporalSettings)
    kubeconfig: str = ""
    plane: str = "default"
    registry: str = ""
    registry_insecure: bool = False
    registry_credentials: Path | None = None
    build: BuildSettings = Field(default_factory=BuildSettings)
    mirrors: Path = Path("/var/cache/towpath/mirrors")
    listen: str = "127.0.0.1:8480"
    webhook_secret: SecretStr = SecretStr("")
    tokens: Path | None = None
    signing_key: Path | None = None
    proof_keys: Path | None = None
    seal_keys: Path | None = None
    acting_key: Path | None = None
    prometheus: str = ""
    prometheus_servers: dict[str, str] = {}
    plane_builds: dict[str, int] = {}
    outbound_hosts: tuple[str, ...] = ()
    outbound_private: bool = True
    public_url: str = ""
    admission_listen: str = ""
    admission_cert: Path | None = None
    admission_key: Path | None = None
    body_limit_bytes: int = 25 * 1024 * 1024
    metrics_listen: str = ""
    otlp_endpoint: str = ""
    log_level: str = "INFO"
    log_format: str = "json"
