"""Connections by libnbd, from within the test's own process."""
import nbd


def connect(uri: str) -> nbd.NBD:
    handle = nbd.NBD()
    handle.connect_uri(uri)
    return handle


def refused(uri: str) -> bool:
    try:
        connect(uri)
    except nbd.Error:
        return True
    return False
