"""What every declared kind stands on, and what its CustomResourceDefinition needs to know."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from model.failure import UserFailure

OPENCHOREO = "openchoreo.dev"
CHOREO = "choreo.dev"
TOWPATH = "towpath.dev"

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
VARIABLE = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"
# https, http, ssh or user@host:path; the engine's own check (model.repository) says more.
ADDRESS = (
    r"^((https?|ssh)://[A-Za-z0-9_\[][^\s]*/[^\s]+"
    r"|([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9_~][^:\s]*)$"
)
BRANCH = r"^[A-Za-z0-9_][^\x00-\x20\x7f~^:?*\[\\]*$"
RELATIVE_PATH = r"^[^\-\x00-\x1f\x7f~\\][^\x00-\x1f\x7f\\]*$"


def cel_text(text: str) -> str:
    """The text as a CEL string literal (CEL specification, "String and Bytes Values": raw strings)."""
    return "r'" + text + "'"


def _stays_inside(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError("a path may not leave the repository")
    return path


Label = Annotated[str, Field(max_length=63, pattern=DNS_LABEL)]
ObjectName = Annotated[str, Field(max_length=253, pattern=DNS_NAME)]
Text = Annotated[str, Field(max_length=32_768)]
Word = Annotated[str, Field(max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[
    str,
    Field(min_length=1, max_length=2048, pattern=ADDRESS),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "x-kubernetes-validations": [
                {
                    "rule": f"self.matches({cel_text(ADDRESS)})",
                    "message": "use an https://, http://, ssh:// or user@host:path address",
                },
                {
                    "rule": "!self.matches('^https?://[^/]*@')",
                    "message": "put credentials into a Secret, not into the address",
                },
            ],
        }
    ),
]
Branch = Annotated[str, Field(min_length=1, max_length=244, pattern=BRANCH)]
Path = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=RELATIVE_PATH,
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": r"!self.matches('(^|/)[.][.](/|$)')", "message": "a path may not leave the repository"}
            ]
        },
    ),
    AfterValidator(_stays_inside),
]
Commit = Annotated[str, Field(max_length=64, pattern=r"^([0-9a-f]{40}([0-9a-f]{24})?)?$")]


class Block(BaseModel):
    """A part of a manifest. Keys are camelCase there; unknown keys are kept, as OpenChoreo has more of them."""

    model_config = ConfigDict(frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True)


class StrictBlock(BaseModel):
    """A part of a manifest of our own: the API server refuses or drops keys that are not here."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Metadata(Block):
    """The parts of an object's metadata that are read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Condition(StrictBlock):
    """A condition as Kubernetes has them (apimachinery, `metav1.Condition`)."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=1024)] = ""
    message: Text = ""
    observed_generation: int = 0
    last_transition_time: Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})] = ""


class Status(Block):
    """The status of kinds for which nothing more is known."""

    conditions: Annotated[
        list[Condition],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []


class Reference(Block):
    """A reference to another object. Today's form is `{kind, name}`, v0.8's the bare name."""

    kind: Word = ""
    name: Word


def _from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


# No `type`, since it is a string or an object: keywords then bind only the kind of value they are for.
_EITHER: dict[str, Any] = {
    "x-kubernetes-preserve-unknown-fields": True,
    "minLength": 1,
    "maxLength": 253,
    "required": ["name"],
    "properties": {
        "kind": {"type": "string", "maxLength": 253},
        "name": {"type": "string", "minLength": 1, "maxLength": 253},
    },
}
AnyReference = Annotated[Reference, BeforeValidator(_from_name), WithJsonSchema(_EITHER)]


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; those with priority 1 appear with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


AGE = Column("Age", ".metadata.creationTimestamp", "date")
READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')


@dataclass(frozen=True)
class Rule:
    """A CEL rule on the part of the schema at `at` (dotted; empty for the whole object).

    `field` (as `.owner.projectName`) is what the refusal names instead of the whole part.
    """

    at: str
    rule: str
    message: str
    field: str = ""


@dataclass(frozen=True)
class Kind:
    """How the API server is told of a kind."""

    group: str
    kind: str
    plural: str
    version: str = "v1alpha1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = (AGE,)
    rules: tuple[Rule, ...] = ()

    @property
    def api_version(self) -> str:
        """`group/version`."""
        return f"{self.group}/{self.version}"


class Declared(Block):
    """An object as it is read from the API server."""

    declared_as: ClassVar[Kind]

    metadata: Metadata


D = TypeVar("D", bound=Declared)


def read(model: type[D], obj: dict[str, Any]) -> D:
    """The object as its model.

    Raises:
        UserFailure: `InvalidManifest`, naming each field that is wrong (five at most).
    """
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        name = str((obj.get("metadata") or {}).get("name", "")) if isinstance(obj.get("metadata"), dict) else ""
        raise UserFailure("InvalidManifest", f"{model.declared_as.kind} {name[:253]}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """`field: what is wrong`, for at most five fields, without the values themselves."""
    wrong = [
        f"{'.'.join(str(part) for part in line['loc']) or 'manifest'}: {line['msg']}"
        for line in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    ]
    return "; ".join(wrong)
