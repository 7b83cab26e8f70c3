"""Sources of Debian packages: the mirror, proxy and archive keys of this host."""

import pathlib
import re
import subprocess

from lab.failure import Failure

SUITES = {12: "bookworm", 13: "trixie"}
_ARCHIVE = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
_KEYRINGS = pathlib.Path("/usr/share/keyrings")
_APT = pathlib.Path("/etc/apt")


def sources(release: int) -> str:
    """sources.list of an image, with the mirrors of this host."""
    suite = SUITES[release]
    archive, security = _mirrors()
    return (f"deb {archive} {suite} main\n"
            f"deb {archive} {suite}-updates main\n"
            f"deb {security} {suite}-security main\n")


def apt_options() -> list[str]:
    """Proxy of the host, if any, as apt.conf lines."""
    lines = subprocess.run(["apt-config", "dump", "--no-empty"], capture_output=True, text=True, check=True).stdout
    return [line for line in lines.splitlines() if re.match(r"Acquire::https?::Proxy", line)]


def check_keys(release: int) -> None:
    """Fail with a remedy if this host cannot verify the signatures of the release."""
    if not (_KEYRINGS / f"debian-archive-{SUITES[release]}-stable.gpg").exists():
        raise Failure(f"this host has no archive key of Debian {release}: "
                      "`apt-get update && apt-get install debian-archive-keyring` brings it, signed by the keys it has")


def _mirrors() -> tuple[str, str]:
    """Archive and security archive from apt's configuration; Debian's by default."""
    archive = security = None
    for uri, suites in _configured():
        if not uri.startswith("http"):
            continue
        if re.search(r"/debian-security/?$", uri) and "-security" in suites:
            security = security or uri
        elif re.search(r"/debian/?$", uri):
            archive = archive or uri
    return archive or _ARCHIVE, security or _SECURITY


def _configured() -> list[tuple[str, str]]:
    """(URI, suites) of each source of this host, in both formats of apt."""
    found = []
    for path in sorted((_APT / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.*)$", stanza, re.MULTILINE))
            found += [(uri, fields.get("Suites", "")) for uri in fields.get("URIs", "").split()]
    for path in [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*.list"))]:
        if path.exists():
            found += re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", path.read_text(), re.MULTILINE)
    return found
