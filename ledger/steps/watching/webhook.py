"""An alarm as one JSON POST, with bounded time and bounded retries. Redirects are not followed."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit

from ledger.model.errors import UsageError

TIMEOUT_SECONDS: Final = 5
ATTEMPTS: Final = 3


class _Straight(urllib.request.HTTPRedirectHandler):
    """A redirected alarm would be a GET without its body, to who knows where."""

    def redirect_request(self, *_args: object, **_named: object) -> None:
        """None: the answer stands as it is, and counts as a failure."""
        return


def check_url(url: str) -> str:
    """The URL, if an alarm can be sent there. UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("--webhook is no http or https URL", hint="--webhook https://HOST/PATH")
    return url


def post(url: str, document: Mapping[str, object], pause: Callable[[float], None] = time.sleep) -> str:
    """Send a document; why it could not be delivered, or '' when the other side took it (2xx)."""
    body = json.dumps(document).encode("utf-8")
    request = urllib.request.Request(  # noqa: S310 - `check_url` allows http and https only
        check_url(url), data=body, method="POST", headers={"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(_Straight)
    failure = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(2 ** (attempt - 1))
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            failure = f"the webhook answered {error.code}"
            error.close()
        except (OSError, HTTPException) as error:
            failure = f"the webhook does not answer ({type(error).__name__})"
    return f"{failure}, {ATTEMPTS} times"
