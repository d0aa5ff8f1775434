"""The rules: promtool likes them, every alert has its cases and its entry in docs/runbook.md, and asks for what exists."""

import pathlib
import re
import subprocess
import unittest

import promql
import promql_parser
import table
import yaml

HERE = pathlib.Path(__file__).parent
CASES = sorted(HERE.glob("tests/*.yaml"))
RUNBOOK = (table.ROOT / "docs" / "runbook.md").read_text()
ALERTS = {rule["alert"]: rule for rule in promql.rules() if "alert" in rule}


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=100)


class RulesTest(unittest.TestCase):
    def test_promtool_likes_rules_and_configuration(self):
        done = promtool("check", "config", "--lint=all", "--lint-fatal", HERE / "prometheus.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_cases(self):
        done = promtool("test", "rules", *CASES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(self):
        cases = [case for path in CASES for test in yaml.safe_load(path.read_text())["tests"]
                 for case in test["alert_rule_test"]]
        self.assertEqual({case["alertname"] for case in cases if case["exp_alerts"]}, set(ALERTS))
        self.assertEqual({case["alertname"] for case in cases if not case["exp_alerts"]}, set(ALERTS))

    def test_what_an_alert_says(self):
        for name, rule in ALERTS.items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                self.assertEqual(set(rule["annotations"]), {"summary", "runbook_url"})
                self.assertEqual(rule["annotations"]["runbook_url"], f"docs/runbook.md#{name.lower()}")

    def test_the_runbook_has_each_alert_in_order_and_names_commands_that_exist(self):
        entries = re.split(r"^## (Jenner\w+)$", RUNBOOK, flags=re.MULTILINE)[1:]
        self.assertEqual(entries[::2], list(ALERTS))
        cli = (table.ROOT / "docs" / "cli.md").read_text()
        for name, text in zip(entries[::2], entries[1::2], strict=True):
            with self.subTest(name):
                self.assertEqual(re.findall(r"^- \*\*(\w+)\*\*:", text, flags=re.MULTILINE), ["Means", "Look", "Do"])
                for verb in re.findall(r"`jenner (?:--?\w+ \S+ )*(\w+(?: [a-z]+)?)", text):
                    self.assertRegex(cli, rf"\| `{verb}\b|, `{verb.split()[-1]}`")

    def test_expressions_ask_for_what_exists(self):
        series = promql.known()
        for rule in promql.rules():
            with self.subTest(rule.get("alert") or rule["record"]):
                promql.check(rule["expr"], series)

    def test_the_name_of_a_record_begins_with_its_labels(self):
        for rule in (rule for rule in promql.rules() if "record" in rule):
            tree = promql_parser.parse(rule["expr"])
            while not isinstance(tree, promql_parser.AggregateExpr):
                tree = tree.args[-1]
            self.assertEqual(set(tree.modifier.labels) - {"le"}, promql.records()[rule["record"]])

    def test_what_does_not_exist_is_found(self):
        series = promql.known()
        for wrong in ("jenner_no_such_total", 'jenner_jobs{stat="x"}', "sum by (method) (jenner_jobs)",
                      "jenner_jobs - on (code) jenner_jobs", "rate(jenner_job_queue_wait_seconds[5m])",
                      'jenner_train_loss{job_ids="x"}', "jenner_jobs * on (job) group_left (code) up"):
            with self.subTest(wrong), self.assertRaises(ValueError):
                promql.check(wrong, series)
        self.assertEqual(promql.check("sum by (job) (jenner_jobs) / on (job) up", series), {"jenner_jobs", "up"})


if __name__ == "__main__":
    unittest.main()
