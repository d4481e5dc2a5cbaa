"""Splits a traceback for a page: the error first, then the frames from the last call upwards."""

import re
from itertools import groupby
from typing import NamedTuple

#: The lines that Python writes between an exception and the one that was raised after it, and what
#: the page says before the earlier one instead.
_LINKS = {
    "The above exception was the direct cause of the following exception:": "It was caused by:",
    "During handling of the above exception, another exception occurred:": "It was raised while "
    "this was handled:",
}
_LINK = re.compile(rf"\n?^({'|'.join(map(re.escape, _LINKS))})\n\n?", re.M)
_TITLE = "Traceback (most recent call last):"
_FRAME = re.compile(r'^  File "(.*?)", line \d+')
#: What the paths of libraries contain, and those of Python itself.
_LIBRARY = re.compile(r"[\\/](site-packages|dist-packages)[\\/]|[\\/]lib[\\/]python3\.|<frozen ")
#: Lines of a log that are shown at once.
TAIL_LINES = 12


class FrameGroup(NamedTuple):
    """Consecutive frames, the last call first."""

    #: Whether they are frames of libraries, which a page folds.
    is_library: bool
    frames: int
    text: str


class RaisedError(NamedTuple):
    """One exception of a traceback."""

    #: What connects it with the exception before it on the page; empty for the first.
    link: str
    #: The type and the message of the exception.
    error: str
    groups: tuple[FrameGroup, ...]


class SplitText(NamedTuple):
    """A text in two parts."""

    earlier: str
    last: str


def split_traceback(text: str) -> tuple[RaisedError, ...]:
    """Returns the exceptions of a traceback, the one that ended the run first.

    A text in another form, such as that of an exception group, is one error without frames.
    """
    blocks = _LINK.split(text.rstrip("\n"))
    links = ["", *(_LINKS[link] for link in reversed(blocks[1::2]))]
    return tuple(
        _split_block(link, block) for link, block in zip(links, reversed(blocks[::2]), strict=True)
    )


def split_tail(text: str) -> SplitText:
    """Returns a text without its last `TAIL_LINES` lines, and these lines."""
    lines = text.rstrip("\n").splitlines()
    return SplitText("\n".join(lines[:-TAIL_LINES]), "\n".join(lines[-TAIL_LINES:]))


def _split_block(link: str, block: str) -> RaisedError:
    before: list[str] = []
    frames: list[list[str]] = []
    lines = block.splitlines()
    for place, line in enumerate(lines):
        if _FRAME.match(line):
            frames.append([line])
        elif not frames:
            if line not in ("", _TITLE):
                before.append(line)
        elif line.startswith("  "):
            frames[-1].append(line)
        else:
            # A long traceback is kept without its beginning, so it may start inside of a frame.
            frames = [before, *frames] if before else frames
            grouped = groupby(reversed(frames), lambda frame: bool(_LIBRARY.search(frame[0])))
            return RaisedError(
                link,
                "\n".join(lines[place:]),
                tuple(_group(is_library, list(group)) for is_library, group in grouped),
            )
    return RaisedError(link, block, ())


def _group(is_library: bool, frames: list[list[str]]) -> FrameGroup:
    return FrameGroup(is_library, len(frames), "\n".join(line for one in frames for line in one))
