"""The dashboards and alerts, on a real Prometheus."""

import os
import shutil
import subprocess
import sys

import pytest

from scripts.monitoring.files import ROOT


@pytest.mark.skipif("BBQREC_STORY" not in os.environ, reason="BBQREC_STORY asks for it")
@pytest.mark.skipif(not shutil.which("prometheus"), reason="needs prometheus: Debian's package")
def test_every_alert_fires_in_its_act_and_no_panel_is_empty() -> None:
    """The whole story, as a user runs it: 3 minutes that want the machine for themselves."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.monitoring"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
