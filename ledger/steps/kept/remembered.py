"""What one process remembers of a ledger, so that the next answer need not read it again.

Only what can never change belongs here: its key names an append-only row, an epoch's version or a digest. Whatever
is forgotten is read again from where it is kept; nothing is lost with a process.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Final, TypeVar

Value = TypeVar("Value")

_THINGS_AT_ONCE: Final = 128


class Remembered:
    """A bounded memory for any number of threads; what two of them ask for at once is made once."""

    def __init__(self, *, at_most: int = _THINGS_AT_ONCE) -> None:
        self._at_most = at_most
        self._lock = Lock()
        self._things: OrderedDict[Hashable, _Thing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._things)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What is known under the key; made now, and raising what `make` raises, where nothing is."""
        with self._lock:
            thing = self._things.setdefault(key, _Thing())
            self._things.move_to_end(key)
            while len(self._things) > self._at_most:
                self._things.popitem(last=False)
        with thing.lock:  # others' keys do not wait for this one
            if not thing.is_made:
                thing.value, thing.is_made = make(), True
            value: Value = thing.value
            return value

    def knows(self, key: Hashable) -> bool:
        """Whether `get` would answer at once."""
        with self._lock:
            thing = self._things.get(key)
            return thing is not None and thing.is_made

    def forget(self, key: Hashable) -> None:
        """Have it made again the next time."""
        with self._lock:
            self._things.pop(key, None)

    def clear(self) -> None:
        """Forget everything, and so close what was held open."""
        with self._lock:
            self._things.clear()


class _Thing:
    __slots__ = ("is_made", "lock", "value")

    def __init__(self) -> None:
        self.lock, self.is_made = Lock(), False
        self.value: Any = None
