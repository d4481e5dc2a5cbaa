"""Access tokens for handlers in processes: the executor asks the facades, and passes them on."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from fabric_jobs.executor.access_tokens import AccessToken, RequestToken, TokenKind
from fabric_jobs.executor.errors import HANDLER_ERROR, AccessTokenError
from fabric_jobs.executor.processes.child_channel import Channel
from fabric_jobs.executor.processes.messages import TokenAnswer, TokenWanted


class ChildTokens:
    """The requests of a handler, in its process. Any thread may ask."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[AccessToken]] = {}

    def request(self, kind: TokenKind, scope: str, claims: str) -> Future[AccessToken]:
        """Asks the executor for a token."""
        wanted: Future[AccessToken] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = wanted
        self._channel.send(TokenWanted(number=number, kind=kind.value, scope=scope, claims=claims))
        return wanted

    def settle(self, answer: TokenAnswer) -> None:
        """Takes the executor's answer."""
        with self._lock:
            wanted = self._waiting.pop(answer.number, None)
        if wanted is None:
            return
        with suppress(InvalidStateError):  # the handler no longer waits
            if answer.error:
                wanted.set_exception(AccessTokenError.of(answer.error))
            else:
                wanted.set_result(AccessToken(answer.token, answer.expires_on))


def answer_token(
    wanted: TokenWanted, request: RequestToken, send: Callable[[TokenAnswer], None]
) -> None:
    """Asks for a token in the executor, and sends the answer once it is there."""

    def pass_on(done: Future[AccessToken]) -> None:
        if done.cancelled():
            return
        match done.exception():
            case None:
                token = done.result()
                send(
                    TokenAnswer(
                        number=wanted.number, token=token.token, expires_on=token.expires_on
                    )
                )
            case AccessTokenError(response=response):
                send(TokenAnswer(number=wanted.number, error=response))
            case error:
                failure = AccessTokenError(f"The executor failed: {error!r}", code=HANDLER_ERROR)
                send(TokenAnswer(number=wanted.number, error=failure.response))

    request(TokenKind(wanted.kind), wanted.scope, wanted.claims).add_done_callback(pass_on)
