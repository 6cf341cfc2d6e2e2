"""What the tours of the Python clients have in common.

A tour gets the address of a server that answers everybody, in a window of 512 tokens, and of one that wants a key, has one slot and
no queue, gives a request two seconds and a key 60 requests a minute, and a window that no answer fills in that time.
"""

import sys
import time

OPEN, STRICT, KEY = sys.argv[1:4]

# More tokens than the window of the first server holds, and more bytes than either takes in a body.
LONG = "1 2 3 " * 500
HUGE = "x" * (17 << 20)

# Headers of a web page that no server here lets in.
FOREIGN = {"Origin": "http://evil.example"}

# An address at which nobody listens.
NOBODY = "http://127.0.0.1:9"


def raises(error, call, **want):
    """call must raise error, with these attributes; returns what it raised."""
    try:
        got = call()
    except error as e:
        have = {name: getattr(e, name) for name in want}
        assert have == want, (have, want, e)
        return e
    raise AssertionError(f"no {error.__name__}, but {got!r}")


def until(call, busy):
    """Returns what call gives once it no longer raises busy: what held the only slot has left it."""
    for _ in range(50):
        try:
            return call()
        except busy:
            time.sleep(0.1)
    raise AssertionError("the slot stays taken")


def limited(error, call, **want):
    """call must raise error after at most the requests that a key may send in a minute."""
    for _ in range(80):
        try:
            call()
        except error as e:
            have = {name: getattr(e, name) for name in want}
            assert have == want, (have, want, e)
            return e
    raise AssertionError("80 requests in a minute, and none too many")
