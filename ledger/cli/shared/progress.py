"""A bar for long work, on stderr, where somebody watches; nothing where a program reads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ledger.cli.shared.output import is_coloured

Thing = TypeVar("Thing")
_WORTH_A_BAR = 20


def tracked(things: Iterable[Thing], total: int, label: str) -> Iterator[Thing]:
    """The same things, with a bar that moves as they are taken."""
    with bar(total, label) as advance:
        for thing in things:
            yield thing
            advance(1)


@contextmanager
def bar(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """A bar of so many steps; the function inside moves it. Invisible for short work and without a terminal."""
    if total < _WORTH_A_BAR or not is_coloured():
        yield lambda _steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda steps: progress.advance(task, steps)
