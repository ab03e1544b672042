"""Which component, and which of its lanes."""

from model.value import Value


class ComponentKey(Value):
    """A component's identity: its namespace on the control plane and its name there."""

    namespace: str = "default"
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "ComponentKey":
        """Read `name` (namespace `default`) or `namespace/name`.

        Raises:
            ValueError: a part is empty, or there are more than two.
        """
        namespace, slash, name = text.rpartition("/")
        if not name or (slash and not namespace) or "/" in namespace:
            raise ValueError(f"{text!r} is not NAME or NAMESPACE/NAME")
        return cls(namespace=namespace or "default", name=name)
