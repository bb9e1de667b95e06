"""Finding a loss, a metric or a regularizer by the name, class or config that a user gives, and describing it again."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar

T = TypeVar("T")


class Configurable:
    """What is described by its constructor's arguments: a subclass names them, and keeps each in an attribute."""

    _arguments: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data that JSON can hold."""
        return {name: getattr(self, name) for name in self._arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an object from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Registry(Generic[T]):
    """The classes of one kind, by their names in snake case, as they are called, and by further names.

    Parameters
    ----------
    base : type
        What every member is an instance of.
    argument : str
        What errors call an identifier unless its user says otherwise.
    names : mapping of str to type
        Classes by their names in snake case.
    aliases : mapping of str to type, optional
        The other names that Keras knows.
    wrap : callable, optional
        Makes a member of a user's function.
    """

    def __init__(
        self,
        base: type[T],
        argument: str,
        names: Mapping[str, type[T]],
        aliases: Mapping[str, type[T]] | None = None,
        wrap: Callable[[Callable[..., Any]], T] | None = None,
    ) -> None:
        self.base = base
        self.argument = argument
        self.names = names
        self.wrap = wrap
        self.all = {**names, **{cls.__name__: cls for cls in names.values()}, **(aliases or {})}

    def get(self, identifier: Any, argument: str | None = None) -> T:
        """Return the member that identifier names, describes, is or makes."""
        argument = argument or self.argument
        if isinstance(identifier, self.base):
            return identifier
        if isinstance(identifier, str):
            return self.named(identifier, argument)()
        if isinstance(identifier, Mapping):
            cls: Any = self.named(identifier.get("class_name"), argument)
            made: T = cls.from_config(identifier.get("config") or {})
            return made
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            return identifier()
        if callable(identifier) and self.wrap is not None:
            return self.wrap(identifier)
        kind = self.base.__name__
        article = "an" if kind[0] in "AEIOU" else "a"
        wanted = f"{article} {kind}" if self.wrap is None else "a function"
        raise TypeError(f"{argument} must be a name, a config or {wanted}, got {type(identifier).__name__}")

    def named(self, name: object, argument: str) -> type[T]:
        """Return the class of that name."""
        if isinstance(name, str) and name in self.all:
            return self.all[name]
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, self.names))}, got {name!r}")

    def serialize(self, member: T, module: str) -> dict[str, Any]:
        """Describe a member in Keras's form, which `get` accepts."""
        name = type(member).__name__
        if self.all.get(name) is not type(member):
            raise ValueError(f"only the classes of fastrnn can be serialized, got {name}")
        config: dict[str, Any] = member.get_config()  # type: ignore[attr-defined] # all kinds have it
        return {"module": module, "class_name": name, "config": config, "registered_name": None}
