"""A root disk under load, and a server that goes away: stopped, killed, again and again, for a moment and for long."""

import os
import random
import time

import outages
from lab import Lab, test


@test("Debian 12 loses nothing under load when the server is stopped for 10 s, and when it is killed")
def stopped_and_killed_12(lab: Lab) -> None:
    _stopped_and_killed(lab, 12)


@test("Debian 13 loses nothing under load when the server is stopped for 10 s, and when it is killed")
def stopped_and_killed_13(lab: Lab) -> None:
    _stopped_and_killed(lab, 13)


def _stopped_and_killed(lab: Lab, release: int) -> None:
    scene = outages.start(lab, release)
    daemon = scene.status()["daemon_pid"]
    for number, end in enumerate((scene.stop_server, scene.kill_server), 1):
        end()
        time.sleep(10)
        lab.require(scene.status()["state"] == "reconnecting", f"the server is away, and status says {scene.status()}")
        scene.serve()
        scene.progress()
        status = scene.status()
        lab.require(status["state"] == "attached" and status["daemon_pid"] == daemon, f"after the outage: {status}")
        lab.require(status["reconnects"] == number, f"{number} outages, and status counts {status['reconnects']} reconnects")
    scene.finish()
    lab.require(8000 <= status["last_outage_ms"] <= 60_000 and status["longest_outage_ms"] >= status["last_outage_ms"],
                f"an outage of 10 s: {status}")


@test("thirty outages in a row at random moments lose nothing", timeout=900)
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
