"""Tests of the alerts: promtool reads them, each fires in one test of alerts.yaml and is silent in another.

    PROMTOOL=/usr/bin/promtool python3 -m unittest discover -s charts/tests -v

It takes promtool (Debian's package prometheus) and pyyaml; `cargo xtask outside` gets both.
"""

import os
import subprocess
import unittest
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "planlease/files/alerts.yaml"
TESTS = HERE / "alerts.yaml"
DOCS = HERE.parent.parent / "docs/kubernetes.md"
PROMTOOL = os.environ.get("PROMTOOL", "promtool")


def promtool(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROMTOOL, *args], capture_output=True, text=True, check=False)


def alerts() -> list[str]:
    return [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


class AlertsTest(unittest.TestCase):
    def test_the_rules_are_sound(self) -> None:
        checked = promtool("check", "rules", str(RULES))
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertIn(f"{len(alerts())} rules found", checked.stdout)

    def test_the_rules_do_what_they_say(self) -> None:
        tested = promtool("test", "rules", str(TESTS))
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)

    def test_each_alert_fires_in_a_test_and_is_silent_in_one(self) -> None:
        cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
        for alert in alerts():
            expected = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert]
            with self.subTest(alert):
                self.assertIn(True, expected, "no test in which it fires")
                self.assertIn(False, expected, "no test in which it is silent")

    def test_each_alert_is_documented(self) -> None:
        text = DOCS.read_text()
        for alert in alerts():
            with self.subTest(alert):
                self.assertIn(f"| `{alert}` |", text)


if __name__ == "__main__":
    unittest.main()
