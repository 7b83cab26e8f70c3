"""The server as its unit or init script has started it: its processes, and what they may do."""
from lab import Lab
from lab.machine import Machine

USER = "holdfast-server"


def status_of(machine: Machine, process: int) -> dict[str, list[str]]:
    text = machine.run(f"cat /proc/{process}/status")
    return {key: value.split() for key, value in (line.split(":", 1) for line in text.splitlines() if ":" in line)}


def opener_of(machine: Machine, process: int) -> int:
    """The one child that is there all the time."""
    return int(machine.run(f"cat /proc/{process}/task/{process}/children"))


def main_process(machine: Machine) -> int:
    return int(machine.run("systemctl show -p MainPID --value holdfast-server"))


def require_no_privileges(lab: Lab, machine: Machine, process: int) -> None:
    """Of the process that speaks to clients."""
    now = status_of(machine, process)
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        # A process that was not root has no way to make the last of its sets smaller; it leads nowhere.
        lab.require(key == "CapBnd" or int(now[key][0], 16) == 0, f"{key} is {now[key]}")
    own = machine.run(f"id -u {USER}; id -g {USER}").split()
    lab.require(now["Uid"] == [own[0]] * 4 and now["Gid"] == [own[1]] * 4, f"its user and group: {now['Uid']} {now['Gid']}")
    lab.require(now["NoNewPrivs"] == ["1"] and now["Seccomp"] == ["2"], f"{now['NoNewPrivs']} {now['Seccomp']}")
    for thread in machine.run(f"cat /proc/{process}/task/*/status | grep -E '^(CapEff|Seccomp):'").splitlines():
        lab.require(thread.split()[1] in ("0000000000000000", "2"), f"a thread has {thread}")


def require_confined_unit(lab: Lab, machine: Machine) -> None:
    """The process that serves, as the unit has started it; and the unit, by the running system's own judgement."""
    require_no_privileges(lab, machine, main_process(machine))
    machine.run("systemd-analyze security --threshold=20 --no-pager holdfast-server.service >/dev/null")
    machine.run("! journalctl -u holdfast-server | grep 'system call'")
