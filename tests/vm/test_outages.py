"""A root disk under load, and a server that goes away: stopped, killed, cut off, again and again, for a moment and for long."""

import os
import random
import time

from lab import Lab, test
from scenes import outages


# The client takes a silent peer for dead after 15 s, and looks every few seconds.
NOTICED = 20
# What the kernel says of the card's cable.
CARRIER = "dmesg | grep -E 'eth0: .*[Ll]ink' || :"


@test("Debian 12 loses nothing under load when the server is stopped for 10 s, killed, and the cable pulled for 60 s", timeout=1200)
def one_after_the_other_12(lab: Lab) -> None:
    _one_after_the_other(lab, 12)


@test("Debian 13 loses nothing under load when the server is stopped for 10 s, killed, and the cable pulled for 60 s", timeout=1200, long=True)
def one_after_the_other_13(lab: Lab) -> None:
    _one_after_the_other(lab, 13)


def _one_after_the_other(lab: Lab, release: int) -> None:
    scene = outages.start(lab, release, bridge=True)
    before = scene.status()
    for number, end in enumerate((scene.stop_server, scene.kill_server), 1):
        end()
        time.sleep(10)
        lab.require(scene.status()["state"] == "reconnecting", f"the server is away, and status says {scene.status()}")
        scene.serve()
        scene.progress()
        stopped = scene.status()
        lab.require(stopped["state"] == "attached", f"the server is back: {stopped}")
        # More where this host has let the machine stand still for seconds, which looks like a dead peer to it.
        lab.require(stopped["reconnects"] >= number, f"{number} outages, and status counts {stopped['reconnects']} reconnects")
    # While it boots, the card may come up late.
    carrier = scene.machine.run(CARRIER)
    scene.network.pull(scene.card)
    time.sleep(60)
    pulled = scene.status()
    scene.network.plug(scene.card)
    scene.progress()
    after = scene.status()
    carrier_after = scene.machine.run(CARRIER)
    scene.finish()
    lab.require(carrier == carrier_after, f"the machine's card has seen its carrier change, which is another test:\n{carrier_after}")
    lab.require(pulled["state"] == "reconnecting", f"a cable that was pulled 60 s ago: {pulled}")
    lab.require(pulled["link_seconds"] >= 60 - NOTICED - 2, f"the dead link was noticed late: {pulled}")
    lab.require(after["state"] == "attached" and after["daemon_pid"] == before["daemon_pid"], f"afterwards: {after}")
    lab.require(8000 <= stopped["longest_outage_ms"] and 40_000 <= after["longest_outage_ms"],
                f"the lengths of the outages: {stopped}\n{after}")
    lab.require(after["session"] == "fenced" and after["generation"] > before["generation"] and len(after["boot_identity"]) == 32,
                f"the session with our own server: {before}\n{after}")
    lab.require(max(after["locked_kib"], after["resident_kib"]) <= 4096, f"more than 4 MiB: {after}")


@test("thirty outages in a row at random moments lose nothing", timeout=900, long=True)
def thirty_in_a_row(lab: Lab) -> None:
    seed = int(os.environ.get("HOLDFAST_SEED") or time.time())
    print(f"HOLDFAST_SEED={seed} makes the same moments again")
    moments = random.Random(seed)
    scene = outages.start(lab, 12)
    for _ in range(30):
        # Also in the middle of a handshake, of a reconnect, of what was sent again.
        time.sleep(moments.choice((moments.uniform(0, 0.5), moments.uniform(0, 5))))
        moments.choice((scene.stop_server, scene.kill_server))()
        time.sleep(moments.choice((0, moments.uniform(0, 2))))
        scene.serve()
    scene.progress()
    scene.finish()


@test("a server that is away for 90 s is waited for, by Debian 12 and 13", timeout=900, long=True)
def ninety_seconds(lab: Lab) -> None:
    for release in (12, 13):
        scene = outages.start(lab, release)
        scene.stop_server()
        time.sleep(90)
        scene.serve()
        scene.progress()
        scene.finish()


@test("a server that is stopped in order a hundred times under load answers nothing with an error", timeout=3600, long=True)
def hundred_stops(lab: Lab) -> None:
    scene = outages.start(lab, 12)
    for number in range(100):
        scene.stop_server()
        scene.serve()
        scene.progress(1)
        if number % 10 == 9:
            outages.kernel_errors(scene.machine)
    lab.require(scene.status()["reconnects"] >= 100, f"a hundred stops: {scene.status()}")
    scene.finish()
