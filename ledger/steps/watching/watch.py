"""The watcher's round: look, act, tell, count; once, or for as long as it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ledger.chain.sending.signer import Signer
from ledger.model.errors import EnvironmentFailure
from ledger.model.units import Hash32
from ledger.steps.ledger import Ledger
from ledger.steps.watching.look import Judged, Watcher
from ledger.steps.watching.metrics import Metrics
from ledger.steps.watching.response import Action, MissingPolicy, Response, respond
from ledger.steps.watching.webhook import post
from ledger.telemetry.logs import failure, log

_DECIDED = frozenset({Action.NOTHING, Action.ALARMED, Action.REVOKED})


@dataclass(slots=True, kw_only=True)
class Watch:
    """One watcher with its means: a guardian's key, a webhook, a metrics file; each may be absent."""

    ledger: Ledger
    guardian: Signer | None = None
    missing: MissingPolicy = MissingPolicy.REVOKE
    webhook: str = ""
    metrics_file: Path | None = None
    told: Callable[[str], None] = lambda _message: None
    metrics: Metrics = field(default_factory=Metrics)
    _watcher: Watcher = field(init=False)
    _told: dict[Hash32, tuple[object, ...]] = field(default_factory=dict)
    """What was said last about a header: the same thing is not said again."""

    def __post_init__(self) -> None:
        self._watcher = Watcher(self.ledger)

    def round(self) -> list[Response]:
        """One look with its consequences; what is new in it. Raises the chain's errors, after counting them."""
        try:
            look = self._watcher.look()
        except EnvironmentFailure:
            self.metrics.failed_looks += 1
            self._write()
            raise
        self.metrics.saw(look)
        log.debug("chain.looked", block=look.block.number, pending=None if look.pending is None else look.pending.epoch)
        headers = {each.header_hash: each for each in look.judged}
        if look.pending is not None:
            headers[look.pending.header_hash] = look.pending
        new = [response for judged in headers.values() if (response := self._respond(judged)) is not None]
        for response in new:
            self._tell(response)
        self._write()
        return new

    def forever(self, pause: Callable[[], None], heard: Callable[[list[Response]], None]) -> None:
        """Round after round until `pause` raises; a chain that does not answer is waited for."""
        while True:
            try:
                heard(self.round())
            except EnvironmentFailure as error:
                log.warning("look.failed", **failure(error))
                self.told(f"{error}; looking again later")
            pause()

    def _respond(self, judged: Judged) -> Response | None:
        """Act on a header; None when everything about it was done and said before."""
        known = (judged.verdict, judged.is_active, judged.why)
        if self._told.get(judged.header_hash) == known:
            return None
        response = respond(self.ledger.settlement(), judged, self.guardian, self.missing)
        if response.action in _DECIDED:
            self._told[judged.header_hash] = known
        return response

    def _tell(self, response: Response) -> None:
        judged = response.judged
        level = log.error if response.is_alarm else log.info
        level(
            "header.judged",
            epoch=judged.epoch,
            header=judged.header_hash,
            verdict=judged.verdict.value,
            what=judged.why or "; ".join(str(each) for each in judged.differences),
            action=response.action.value,
            tx=response.transaction,
        )
        self.metrics.revocations += response.action is Action.REVOKED
        if not response.is_alarm:
            return
        self.metrics.alarms += 1
        if self.webhook:
            undelivered = post(self.webhook, response.document())
            if undelivered:
                self.metrics.undelivered_alarms += 1
                log.error("alarm.undelivered", epoch=judged.epoch, what=undelivered)
                self.told(f"the alarm about epoch {judged.epoch} was not delivered: {undelivered}")

    def _write(self) -> None:
        if self.metrics_file is not None:
            self.metrics.write(self.metrics_file)
