"""A tag of a commit that has been built before: what is there takes its name, and nothing is built again."""

from model.key import ComponentKey
from model.value import Value


class Tagged(Value):
    """A tag (its bare name), the version that it stands for (may be empty), and the commit it leads to."""

    component: ComponentKey
    commit: str
    tag: str
    version: str = ""
