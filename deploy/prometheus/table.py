"""The metrics of the coordinator, read from the one table that declares them (server/telemetry/metrics.cc).

telemetry_test.cc holds the table against a scrape: names and types. live_test.py does so with a running server.
"""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "server" / "telemetry" / "metrics.cc"
HEADER = ROOT / "server" / "telemetry" / "metrics.h"
# A label of ours of this name is taken by Prometheus for the scrape job, and ours renamed (honor_labels: false).
RENAMED = {"job": "exported_job"}
OF_TARGET = ("job", "instance")

_ROW = re.compile(r'\{\s*"(?P<name>\w+)",\s*k(?P<type>Gauge|Counter|Histogram),\s*'
                  r'(?P<help>(?:"[^"\\]*"\s*)+),\s*"(?P<labels>[\w,]*)",?\s*\}')


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    type: str  # counter, gauge, histogram
    help: str
    labels: tuple[str, ...]

    def series(self):
        """Names of its time series, with the labels of each as Prometheus stores them."""
        labels = {RENAMED.get(label, label) for label in self.labels} | set(OF_TARGET)
        if self.type != "histogram":
            return {self.name: labels}
        return {f"{self.name}_bucket": labels | {"le"}, f"{self.name}_sum": labels, f"{self.name}_count": labels}


def metrics():
    """The rows of the table, in its order."""
    text = SOURCE.read_text()
    begin = text.index("new std::vector<MetricRow>{") + len("new std::vector<MetricRow>{")
    body = text[begin:text.index("\n  };", begin)]
    rows = [Metric(row["name"], row["type"].lower(), "".join(re.findall(r'"([^"]*)"', row["help"])),
                   tuple(filter(None, row["labels"].split(","))))
            for row in _ROW.finditer(body)]
    rest = _ROW.sub("", body).replace(",", "").strip()
    if rest:
        raise ValueError(f"{SOURCE}: a row that this script cannot read: {rest[:200]}")
    return rows


def constant(path, pattern):
    """What the one group of `pattern` finds in a source file, digits without their separators."""
    found = re.findall(pattern, path.read_text())
    if len(found) != 1:
        raise ValueError(f"{path}: expected {pattern} once, found {len(found)}")
    return int(found[0].replace("'", ""))
