"""The metrics of the coordinator, read from the one table that declares them (server/telemetry/metric_table.cc).

telemetry_test.cc holds the table against a scrape: names and types. live_test.py does so with a running server.
"""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "server" / "telemetry" / "metric_table.cc"
SOURCE = ROOT / "server" / "telemetry" / "metrics.cc"
HEADER = ROOT / "server" / "telemetry" / "metrics.h"
# Labels that Prometheus gives each series; one of ours must not have their name, or it is renamed.
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
        labels = {*self.labels, *OF_TARGET}
        if self.type != "histogram":
            return {self.name: labels}
        return {f"{self.name}_bucket": labels | {"le"}, f"{self.name}_sum": labels, f"{self.name}_count": labels}


def metrics():
    """The rows of the table, in its order."""
    text = TABLE.read_text()
    body = "".join(re.findall(r"^constexpr MetricRow k\w+\[\] = \{(.*?)^\};", text, re.MULTILINE | re.DOTALL))
    rows = [Metric(row["name"], row["type"].lower(), "".join(re.findall(r'"([^"]*)"', row["help"])),
                   tuple(filter(None, row["labels"].split(","))))
            for row in _ROW.finditer(body)]
    rest = _ROW.sub("", body).replace(",", "").strip()
    if rest:
        raise ValueError(f"{TABLE}: a row that this script cannot read: {rest[:200]}")
    return rows


def constant(path, pattern):
    """What the one group of `pattern` finds in a source file, digits without their separators."""
    found = re.findall(pattern, path.read_text())
    if len(found) != 1:
        raise ValueError(f"{path}: expected {pattern} once, found {len(found)}")
    return int(found[0].replace("'", ""))
