"""The alert rules of examples/monitoring, with Prometheus's own program for that."""
import shutil
import subprocess
from pathlib import Path

from building import ROOT
from harness.registry import test


@test("Prometheus takes the alert rules, and they fire for what they name, once each")
def alerts_fire(folder: Path) -> None:
    subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "prometheus"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (package,) = folder.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder / "prometheus"], check=True)
    shutil.copy(ROOT / "examples/monitoring/alerts.yml", folder)
    shutil.copy(ROOT / "tests/packages/alerts_test.yml", folder)
    promtool = folder / "prometheus/usr/bin/promtool"
    for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        done = subprocess.run([promtool, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
