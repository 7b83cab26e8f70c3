"""Other servers for an attached root disk: asked first, taken under load, remembered by every daemon after."""

from lab import Lab, test
from lab.network import HOST
from lab.process import Service
from scenes import outages, serving
from scenes.outages import PATIENCE

SECOND, WRONG = serving.PORT + 1, serving.PORT + 2


def _serve(scene: outages.Scene, *ports: int) -> Service:
    """One server of the disk, which nobody else may open beside it, at these ports."""
    words = [word for port in ports for word in ("--listen", f"127.0.0.1:{port}")]
    service = scene.host.spawn([scene.lab.build / "holdfast-server", "--foreground", *words, "--export", f"root={scene.disk}"],
                               name=f"server-at-{'-'.join(map(str, ports))}")
    for port in ports:
        scene.host.wait_for_port(port)
    return service


@test("a root disk under load moves to another port for good, and to none that has another disk", timeout=900)
def moved(lab: Lab) -> None:
    scene = outages.start(lab, 12)
    machine = scene.machine
    serving.serve(lab, scene.host, f"root={lab.copy(scene.image)}", port=WRONG, name="wrong-server")
    scene.stop_server()
    scene.server = _serve(scene, serving.PORT, SECOND)
    scene.progress()

    def uri(port: int) -> str:
        return f"nbd://{HOST}:{port}/root"

    def takeover(words: str) -> tuple[int, str]:
        return machine.run_status(f"holdfast-client takeover nbd0 {words}", timeout=PATIENCE)

    before = scene.status()
    for words, status, said in ((f"--server {uri(WRONG)}", 4, "another disk"), (f"--server {uri(SECOND)} --server {uri(WRONG)}", 4, "another disk"),
                                (f"--server {uri(SECOND)} --dry-run", 0, uri(SECOND)), (f"--server {uri(1)}", 5, "could be reached")):
        code, text = takeover(words)
        lab.require(code == status and said in text, f"takeover {words}: status {code}: {text}")
        now = scene.status()
        lab.require((now["daemon_pid"], now["server"], now["reconnects"]) == (before["daemon_pid"], before["server"], before["reconnects"]),
                    f"takeover {words} has changed something: {now}")

    code, text = takeover(f"--server {uri(SECOND)} --dead-after 20")
    lab.require(code == 0, f"takeover: status {code}: {text}")
    scene.progress()
    scene.stop_server()
    scene.server = _serve(scene, SECOND)  # the first port is gone for good
    _has_moved(scene, uri(SECOND), "at the new port alone")
    lab.require(machine.run("dmesg | grep -c 'did not discard the pending requests'; :").strip() == "0", "the first server was not fenced")

    lab.require(takeover("")[0] == 0, "a later takeover")
    _has_moved(scene, uri(SECOND), "after a later takeover")
    machine.run(f"kill -KILL {scene.status()['daemon_pid']}")
    lab.require(takeover("")[0] == 0, "a takeover of a device whose daemon has died")
    _has_moved(scene, uri(SECOND), "after the daemon's death")
    scene.kill_server()
    scene.port = SECOND
    scene.serve()
    _has_moved(scene, uri(SECOND), "after an outage")
    scene.finish()


def _has_moved(scene: outages.Scene, uri: str, when: str) -> None:
    scene.progress()
    status = outages.wait_for_state(scene.machine, "attached")
    scene.lab.require(status["server"] == uri and status["servers"] == 1, f"{when}: {status}")
