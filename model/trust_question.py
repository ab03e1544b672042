"""Asking whose changes may be built: the question for all namespaces whose components a change concerns."""

from model.change_request import ChangeRequest
from model.trust import Trust
from model.value import Value


class TrustQuestion(Value):
    """Each namespace may say otherwise in a Repository of its own."""

    change: ChangeRequest
    namespaces: tuple[str, ...]


class TrustAnswer(Value):
    """Whether the change may be built at once, by namespace."""

    by_namespace: dict[str, Trust]
