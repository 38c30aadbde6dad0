"""What every script here does: tell what it sees, and tell the provider how far it has seen a stream."""

import json
import os
import urllib.request

BASE_URL = os.environ["BASE_URL"]
CONTROL_URL = os.environ["CONTROL_URL"]


def tell(name, value):
    """One line of the transcript. Key order is kept: it is part of what arrived."""
    print(f"{name}: {json.dumps(value, ensure_ascii=False, default=repr)}", flush=True)


def control(path):
    urllib.request.urlopen(CONTROL_URL + path, data=b"", timeout=90).close()


def seen(stream, pieces):
    """The provider goes on with that stream."""
    control(f"/seen/{stream}/{pieces}")


def await_leaving(stream):
    """Returns when the provider has noticed that this stream's client is gone."""
    control(f"/await/left/{stream}")


def attempt(name, call):
    """Tells the exception that `call` must end in."""
    try:
        tell(name, ["no exception", call()])
    except Exception as error:
        told = {"class": type(error).__name__, "message": str(error), "cause": repr(error.__cause__)}
        for field in ("status_code", "body", "code", "type", "request_id"):
            if hasattr(error, field):
                told[field] = getattr(error, field)
        response = getattr(error, "response", None)
        if hasattr(error, "request_id") and response is not None:
            told["headers"] = headers(response)
        tell(name, told)


# The fields that belong to one connection; a client's own connection is with the proxy.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


def headers(response):
    """The header lines of an answer, in order and with their case, equal names brought together."""
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw]
    names = [name.lower() for name, _ in lines]
    lines.sort(key=lambda line: names.index(line[0].lower()))
    return [line for line in lines if line[0].lower() not in HOP_BY_HOP]
