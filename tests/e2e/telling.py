"""A story that is told in the background, while tests look at what does not depend on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class NotTold(Exception):
    """An earlier chapter failed; names it."""


class Telling:
    """Chapters one after the other in a thread of their own.

    Args:
        chapters: by name, in the order of the story.
        pool: with one worker.
    """

    def __init__(self, chapters: Mapping[str, Callable[[], Any]], pool: ThreadPoolExecutor) -> None:
        self._failed = ""
        self._told: dict[str, Future[Any]] = {
            name: pool.submit(self._tell, name, chapter) for name, chapter in chapters.items()
        }

    @classmethod
    @contextmanager
    def begin(cls, **chapters: Callable[[], Any]) -> Iterator[Telling]:
        """Begin; at the end the chapter under way is waited for, and what nobody asked for is left out."""
        pool = ThreadPoolExecutor(max_workers=1)
        try:
            yield cls(chapters, pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def chapter(self, name: str) -> Any:
        """What a chapter has told, once it has.

        Raises:
            NotTold: an earlier chapter failed; else whatever this one raised.
        """
        return self._told[name].result()

    def _tell(self, name: str, chapter: Callable[[], Any]) -> Any:
        if self._failed:
            raise NotTold(f"{name}: chapter {self._failed} has failed")
        self._failed = name
        told = chapter()
        self._failed = ""
        return told
