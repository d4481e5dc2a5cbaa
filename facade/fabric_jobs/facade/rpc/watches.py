"""The watches: streams of the changes of jobs, for the callers of `WatchJobs`."""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc

from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.replica import Change, Replica
from fabric_jobs.facade.rpc.errors import Context, abort
from fabric_jobs.facade.rpc.watch_messages import WatchMessage, WatchMessages
from fabric_jobs.facade.sealing import Revealed
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bounds of what waits for a slow watcher, in events and in bytes. Above either, the watch ends
#: with an error.
MAX_WATCH_BACKLOG = 10_000
MAX_WATCH_BACKLOG_BYTES = 8 * 1024 * 1024
#: Bound of the watches of one replica at the same time.
MAX_WATCHES = 200


class Watches:
    """Serves the watches of one replica."""

    def __init__(self, replica: Replica, reveal: Callable[[Job], Revealed]) -> None:
        """`reveal` opens the texts of a job."""
        self._replica = replica
        self._messages = WatchMessages(reveal)
        self._stopping = asyncio.Event()
        self._open = 0

    def stop(self) -> None:
        """Ends every watch, because a stream that its client cancels leaks memory."""
        self._stopping.set()

    async def serve(
        self, job_id: str | None, context: Context
    ) -> AsyncIterator[pb.WatchJobsResponse]:
        """Yields the changes of one job, or of all jobs, after an empty message.

        Raises `UnavailableError` if the replica reads the log from its beginning again, because it
        applies old events then.
        """
        if self._open >= MAX_WATCHES:
            await abort(
                context,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_WATCHES",
                f"This replica has {MAX_WATCHES} watches. End one, or ask another replica.",
            )
        #: The messages to send; None ends the watch, because the server stops or the log is read
        #: again. A message has no payload, which a waiting change would keep in memory.
        messages: asyncio.Queue[WatchMessage | None] = asyncio.Queue()
        waiting_bytes = 0
        is_behind = is_read_again = False

        def on_change(change: Change) -> None:
            nonlocal waiting_bytes, is_behind
            if is_behind or is_read_again or job_id not in (None, change.stored.job.job_id):
                return
            message = self._messages.message_of(change)
            waiting_bytes += message.size
            if messages.qsize() < MAX_WATCH_BACKLOG and waiting_bytes <= MAX_WATCH_BACKLOG_BYTES:
                messages.put_nowait(message)
            else:
                is_behind = True

        def on_reset() -> None:
            nonlocal is_read_again
            is_read_again = True
            messages.put_nowait(None)

        #: By partition, the offset before which no event is missing.
        sent = {number: each.position for number, each in self._replica.checkpoints().items()}
        stop = asyncio.create_task(self._stopping.wait(), name="end a watch at the server's stop")
        stop.add_done_callback(lambda _: messages.put_nowait(None))
        self._replica.listeners.add(on_change)
        self._replica.reset_listeners.add(on_reset)
        self._open += 1
        try:
            yield pb.WatchJobsResponse()
            while not (is_behind or is_read_again):
                message = await messages.get()
                if message is None:
                    break
                yield message.response
                waiting_bytes -= message.size
                position = message.response.position
                sent[position.partition] = position.offset
        finally:
            self._open -= 1
            self._replica.listeners.discard(on_change)
            self._replica.reset_listeners.discard(on_reset)
            stop.cancel()
        if is_read_again:
            raise UnavailableError(
                UnavailableReason.LOG_UNREACHABLE,
                "This facade reads the log from its beginning again. Watch at another one.",
            )
        if not is_behind:
            return
        await abort(
            context,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "WATCHER_BEHIND",
            f"The watch is {messages.qsize()} events behind. Watch again, then list the jobs. The "
            "events in between are on the topic, from the offsets in this error's metadata on.",
            {f"offset.{partition}": str(offset) for partition, offset in sorted(sent.items())},
        )
