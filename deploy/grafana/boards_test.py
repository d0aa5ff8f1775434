"""The boards: JSON as made of boards/, expressions that parse and ask for what exists, and one style."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import build
import promql
import promql_parser
import table
import yaml

HERE = pathlib.Path(__file__).parent
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(build.DASHBOARDS.glob("*.json"))}
# Metrics that are on no board and in no rule, and why.
UNUSED = {}


def panels(board):
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries():
    """(board, panel, expression, legend) of every query."""
    return [(name, panel["title"], target["expr"], target["legendFormat"])
            for name, board in BOARDS.items() for panel in panels(board) for target in panel.get("targets", [])]


def nodes(node):
    return [node, *(below for child in promql.children(node) for below in nodes(child))]


class BoardsTest(unittest.TestCase):
    maxDiff = 2000

    def test_up_to_date(self):
        made = build.texts()
        self.assertEqual({f"{name}.json" for name in BOARDS}, set(made))
        for name, text in made.items():
            self.assertEqual((build.DASHBOARDS / name).read_text(), text, "run deploy/grafana/build.py")

    def test_promtool_reads_every_expression(self):
        rules = [{"record": f"board:expression:{number}", "expr": promql.without_variables(expression)}
                 for number, (_, _, expression, _) in enumerate(queries())]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}, file)
            file.flush()
            done = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(rules)} rules found", done.stdout)

    def test_expressions_ask_for_what_exists(self):
        series = promql.known()
        for board, panel, expression, legend in queries():
            with self.subTest(board=board, panel=panel):
                plain = promql.without_variables(expression)
                promql.check(plain, series)
                kept = {label for node in nodes(promql_parser.parse(plain))
                        if isinstance(node, promql_parser.AggregateExpr) and node.modifier
                        for label in node.modifier.labels}
                self.assertLessEqual(set(re.findall(r"\{\{(\w+)\}\}", legend)), kept, "a label of the legend")

    def test_variables_ask_for_what_exists(self):
        series = promql.known()
        for name, board in BOARDS.items():
            for variable in board["templating"]["list"]:
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("query", ""))
                if variable["type"] == "query":
                    with self.subTest(board=name, variable=variable["name"]):
                        found = promql.check(promql.without_variables(asked[1]), series)
                        self.assertIn(asked[2], series[found.pop()])

    def test_every_metric_is_used(self):
        asked = {name for _, _, expression, _ in queries()
                 for name in promql.check(promql.without_variables(expression), promql.known())}
        asked |= {name for rule in promql.rules() for name in promql.check(rule["expr"], promql.known())}
        unused = {metric.name for metric in table.metrics() if not asked & set(metric.series())}
        self.assertEqual(unused, set(UNUSED), "put it on a board, or into UNUSED with a reason")
        self.assertLessEqual(set(promql.records()), asked, "a record that nobody asks for")

    def test_counters_are_asked_for_over_time_only(self):
        counters = {name for metric in table.metrics() for name in metric.series() if metric.type != "gauge"}
        for board, panel, expression, _ in queries():
            tree = promql_parser.parse(promql.without_variables(expression))
            over_time = [found for node in nodes(tree) if isinstance(node, promql_parser.MatrixSelector)
                         for found in promql.selectors(node)]
            with self.subTest(board=board, panel=panel):
                bare = [found.name for found in promql.selectors(tree) if found.name in counters]
                self.assertEqual(len(bare), len([found for found in over_time if found.name in counters]))

    def test_style(self):
        for name, board in BOARDS.items():
            self.assertEqual(board["uid"], f"jenner-{name}")
            self.assertIsNone(board.get("id"))
            self.assertFalse(board["editable"])
            names = {variable["name"] for variable in board["templating"]["list"]}
            used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board)))
            self.assertEqual(names, used, name)
            places = set()
            for panel in panels(board):
                at = panel["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                with self.subTest(board=name, panel=panel["title"]):
                    self.assertLessEqual(at["x"] + at["w"], 24)
                    self.assertFalse(cells & places, "panels overlap")
                    places |= cells
                    if panel["type"] == "row":
                        continue
                    self.assertTrue(panel["description"])
                    if panel["type"] != "text":
                        self.assertTrue(panel["title"])
                        self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                        for asked in (panel, *panel["targets"]):
                            self.assertEqual(asked["datasource"]["uid"], "${datasource}")

    def test_provisioning(self):
        provider = yaml.safe_load((HERE / "provisioning/dashboards/jenner.yaml").read_text())["providers"][0]
        self.assertEqual((provider["type"], provider["allowUiUpdates"]), ("file", False))
        source = yaml.safe_load((HERE / "provisioning/datasources/jenner.yaml").read_text())["datasources"][0]
        self.assertEqual(source["type"], "prometheus")
        scrape = yaml.safe_load((table.ROOT / "deploy/prometheus/prometheus.yaml").read_text())["global"]
        self.assertEqual(source["jsonData"]["timeInterval"], scrape["scrape_interval"])


if __name__ == "__main__":
    unittest.main()
