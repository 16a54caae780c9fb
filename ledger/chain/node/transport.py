"""Requests to one node, bounded in time and size whatever the other side does.

HTTP clients bound each read, so a server that sends a byte now and then holds them for ever; here the whole answer,
headers included, has one deadline. web3 and what it brings are imported only when a request is made.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ledger.chain.node import bounds
from ledger.chain.node.bounds import deadline
from ledger.model.recursion import recursion_bound

if TYPE_CHECKING:
    from web3 import HTTPProvider

Call = tuple[str, list[Any]]
"""A method and its parameters."""


class TransportError(Exception):
    """There is no usable answer. The text says why and holds no part of the address."""


class Transport:
    """One node's address. Connections are kept open and shared between threads."""

    def __init__(self, url: str, node: "HTTPProvider | None" = None) -> None:
        """`node`: whoever answers in place of the address, for tests without one."""
        self._url = url
        self._given = self._kept = node
        self._process = os.getpid()

    @property
    def place(self) -> str:
        """Host and port: what may be shown of the address, whose path, query or user often is an access key."""
        parts = urlsplit(self._url)
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            port = ""
        return f"{parts.hostname or 'no host'}{port}"

    def ask(self, call: Call, seconds: float, *, repeats: int = 0) -> Any:
        """The JSON-RPC answer to one call, whole, within so many seconds.

        A connection that breaks is made again up to `repeats` times: only for calls that may be made twice.
        Raises TransportError.
        """
        method, params = call
        return self._within(seconds, repeats, lambda node: node.make_request(method, params))

    def ask_many(self, calls: Sequence[Call], seconds: float, *, repeats: int = 0) -> Any:
        """The answers to many calls in one request, in their order; an object where the node refuses it whole."""
        return self._within(seconds, repeats, lambda node: node.make_batch_request(list(calls)))

    def _within(self, seconds: float, repeats: int, post: Any) -> Any:
        import requests  # web3's own transport, imported as late as web3 is

        node = self._node  # its first import takes a second, which is not the node's fault
        deadline.begin(seconds)
        try:
            while True:
                try:
                    return post(node)
                except (requests.RequestException, OSError) as error:
                    is_over = isinstance(error, requests.Timeout) or deadline.is_over
                    if is_over or repeats <= 0 or isinstance(error, requests.HTTPError):
                        raise TransportError(_told(error, seconds if is_over else None)) from error
                    repeats -= 1
        except bounds.AnswerTooLargeError as error:
            raise TransportError(f"the answer is larger than {bounds.LARGEST_ANSWER} bytes") from error
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TransportError("the answer is no JSON-RPC") from error
        finally:
            deadline.end()

    @property
    def _node(self) -> "HTTPProvider":
        if self._kept is None or self._process != os.getpid():  # a forked child must not speak on its parent's lines
            self._kept, self._process = self._given or _provider(self._url), os.getpid()
        return self._kept

    def __repr__(self) -> str:
        return f"Transport({self.place})"


def _provider(url: str) -> "HTTPProvider":
    with recursion_bound():
        from web3 import HTTPProvider

    from ledger.chain.node.bounded_http import bounded_session

    # web3 would repeat eth_sendRawTransaction too; the outbox decides about that itself
    return HTTPProvider(url, session=bounded_session(), exception_retry_configuration=None)


def _told(error: Exception, seconds: float | None) -> str:
    import requests

    if seconds is not None:
        return f"no answer within {seconds:.3g} s"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate is not accepted"
    return f"{'nobody listens' if 'refused' in str(error) else 'the connection broke'} ({type(error).__name__})"
