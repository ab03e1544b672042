"""`openchoreo.dev/v1alpha1` SecretReference: which keys of an outside store make a Secret."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from model.resources.declared import AGE, OPENCHOREO, Block, Column, Declared, Kind, Status, Word


class RemoteKey(Block):
    """Where a value lies in the outside store."""

    key: Annotated[str, Field(max_length=2048)]
    property: Word | None = None
    version: Word | None = None


class SecretEntry(Block):
    """One key of the Secret."""

    secret_key: Word
    remote_ref: RemoteKey


class SecretReferenceSpec(Block):
    """The Secret that an operator (external-secrets) makes of it has the object's own name."""

    template: dict[str, Any] | None = None
    data: Annotated[list[SecretEntry], Field(max_length=100)] = []
    refresh_interval: Annotated[str, Field(max_length=32)] | None = None


class SecretReference(Declared):
    """Which keys of an outside store make a Secret."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="SecretReference",
        plural="secretreferences",
        columns=(Column("Refresh", ".spec.refreshInterval"), AGE),
    )

    spec: SecretReferenceSpec = SecretReferenceSpec()
    status: Status | None = None
