"""Access tokens for handlers in processes: the executor asks the facades, and passes them on."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from fabric_jobs.contract.errors import HANDLER_ERROR
from fabric_jobs.executor.access_tokens import (
    AccessToken,
    RequestToken,
    TokenKind,
    refuse_after_fork,
)
from fabric_jobs.executor.errors import AccessTokenError
from fabric_jobs.executor.processes.child_channel import Channel
from fabric_jobs.executor.processes.messages import TokenAnswer, TokenWanted


class ChildTokens:
    """The requests of one call's handler, in its process. Any thread may ask."""

    def __init__(self, call: int, channel: Channel) -> None:
        """`call` is the number of the call."""
        self._call = call
        self._channel = channel
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[AccessToken]] = {}
        self._is_closed = False

    def request(self, kind: TokenKind, scope: str, claims: str) -> Future[AccessToken]:
        """Asks the executor for a token."""
        if self._channel.is_inherited:
            return refuse_after_fork()
        wanted: Future[AccessToken] = Future()
        with self._lock:
            if self._is_closed:
                wanted.set_exception(_call_ended())
                return wanted
            number = next(self._numbers)
            self._waiting[number] = wanted
        self._channel.send(
            TokenWanted(call=self._call, number=number, kind=kind.value, scope=scope, claims=claims)
        )
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

    def close(self) -> None:
        """Refuses the requests that wait and all later ones, because the handler has ended."""
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, {}
        for wanted in waiting.values():
            with suppress(InvalidStateError):  # the handler no longer waits
                wanted.set_exception(_call_ended())


def _call_ended() -> AccessTokenError:
    return AccessTokenError("The attempt has ended, so it gets no access token.", code="NotHolder")


class TokenAnswers:
    """The executor's answers to what the handler of one call requests.

    No answer is sent after the call, because its process may run the job of another tenant.
    """

    def __init__(self, request: RequestToken, send: Callable[[TokenAnswer], None]) -> None:
        self._request = request
        self._send = send
        self._pending: set[Future[AccessToken]] = set()
        self._is_closed = False

    def answer(self, wanted: TokenWanted) -> None:
        """Asks for a token in the executor, and sends the answer once it is there."""

        def pass_on(done: Future[AccessToken]) -> None:
            self._pending.discard(done)
            if not self._is_closed and not done.cancelled():
                self._send(_make_answer(wanted, done))

        token = self._request(TokenKind(wanted.kind), wanted.scope, wanted.claims)
        self._pending.add(token)
        token.add_done_callback(pass_on)

    def close(self) -> None:
        """Ends the requests, because the call has ended. Sends nothing more."""
        self._is_closed = True
        for token in tuple(self._pending):
            token.cancel()


def _make_answer(wanted: TokenWanted, done: Future[AccessToken]) -> TokenAnswer:
    call, number = wanted.call, wanted.number
    match done.exception():
        case None:
            token = done.result()
            return TokenAnswer(
                call=call, number=number, token=token.token, expires_on=token.expires_on
            )
        case AccessTokenError(response=response):
            return TokenAnswer(call=call, number=number, error=response)
        case error:
            failure = AccessTokenError(f"The executor failed: {error!r}", code=HANDLER_ERROR)
            return TokenAnswer(call=call, number=number, error=failure.response)
