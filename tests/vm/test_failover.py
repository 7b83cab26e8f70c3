"""Another server for the same disk: at the same address on another machine, and the next one in the list."""

import time

from lab import Lab, test
from lab.network import HOST
from scenes import outages, serving

ADDRESS = "10.77.0.5"


@test("the server's address moves to another machine with the same disk, and back, under load", long=True)
def address_moves(lab: Lab) -> None:
    network = lab.network()
    first, second = network.host("first"), network.host("second")
    first.take(ADDRESS)
    scene = outages.start(lab, 13, network=network, bridge=True, host=first, address=ADDRESS)
    # The first machine drops off the network while its server lives; then it is switched off, and its successor takes over.
    first.leave()
    scene.kill_server()
    second.take(ADDRESS)
    scene.host = second
    scene.serve()
    scene.progress()
    # Back, in order: the server is stopped before the address moves, and nobody answers for a while.
    scene.stop_server()
    second.leave()
    time.sleep(5)
    first.take(ADDRESS)
    scene.host = first
    scene.serve()
    scene.progress()
    status = scene.status()
    lab.require(status["reconnects"] >= 2 and status["state"] == "attached", f"after two moves: {status}")
    scene.finish()


@test("the second server of the list takes over when the first is gone, and the first again when the second goes", long=True)
def next_in_list(lab: Lab) -> None:
    scene = outages.start(lab, 12, servers=f"nbdroot={HOST},10809,root nbdroot={HOST},10810,root")
    for port in (10810, 10809, 10810):
        other = serving.serve(lab, scene.network, f"root={scene.disk}", port=port, name=f"server-{port}")
        # While the disk is in use by the first, the second refuses it; then the client finds the one that does not.
        scene.kill_server() if port == 10809 else scene.stop_server()
        scene.server = other
        scene.progress()
        status = scene.status()
        lab.require(str(port) in status["server"] or port == 10809 and status["server"].endswith(f"{HOST}/root"),
                    f"the server on port {port} is the only one left: {status}")
        lab.require(status["servers"] == 2, f"status counts other servers than two: {status}")
    scene.finish()
