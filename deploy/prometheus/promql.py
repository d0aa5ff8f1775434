"""What a PromQL expression asks for: its metrics and labels, held against the table of metrics."""

import pathlib
import re

import promql_parser
import yaml

import table

RULES = pathlib.Path(__file__).with_name("rules")
# Not ours: of Prometheus itself, and of NVIDIA's exporter (its default-counters.csv).
_DCGM = {"job", "instance", "gpu", "UUID", "device", "modelName", "Hostname"}
FOREIGN = {"up": {"job", "instance"}, "ALERTS": {"job", "alertname", "alertstate", "severity"},
           **{f"DCGM_FI_{name}": _DCGM for name in
              ("DEV_GPU_UTIL", "DEV_FB_USED", "DEV_FB_FREE", "DEV_GPU_TEMP", "DEV_POWER_USAGE", "DEV_XID_ERRORS")}}


def rules():
    return [rule for path in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]
            for rule in group["rules"]]


def records():
    """Recorded series, with the labels that their names begin with."""
    names = [rule["record"] for rule in rules() if "record" in rule]
    return {name: set(name.split(":")[0].split("_")) for name in names}


def known():
    """Every series that may be asked for, with its labels."""
    ours = {name: labels for metric in table.metrics() for name, labels in metric.series().items()}
    return {**FOREIGN, **records(), **ours}


def children(node):
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "args"):
        child = getattr(node, name, None)
        yield from child if isinstance(child, list) else [child] if isinstance(child, promql_parser.Expr) else []


def selectors(node):
    """The vector selectors below a node, itself included."""
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    return [found for child in children(node) for found in selectors(child)]


def check(expression, series):
    """The names of the series that `expression` asks for. ValueError: one is not among `series`, or has no such label."""
    tree = promql_parser.parse(expression)

    def walk(node):
        below = set()
        for selector in selectors(node):
            if selector.name not in series:
                raise ValueError(f"{selector.name} is no metric of ours: {expression}")
            below |= series[selector.name]
        labels = set()
        if isinstance(node, promql_parser.VectorSelector):
            labels = {matcher.name for matcher in node.matchers.matchers}
        elif getattr(node, "modifier", None) is not None:
            modifier = node.modifier
            # `by` of an aggregation; `on` and `group_left` between two vectors.
            labels = set(getattr(modifier, "labels", None) or [])
            labels |= set(getattr(getattr(modifier, "matching", None), "labels", None) or [])
            labels |= set(getattr(modifier, "group_labels", None) or [])
        if labels - below:
            raise ValueError(f"no such label: {sorted(labels - below)}: {expression}")
        for child in children(node):
            walk(child)

    walk(tree)
    return {selector.name for selector in selectors(tree)}


def without_variables(expression):
    """An expression of a board, with something in place of Grafana's variables."""
    plain = re.sub(r"\$__(rate_interval|interval|range)", "5m", expression)
    return re.sub(r"\$\w+|\$\{\w+\}", ".+", plain)
