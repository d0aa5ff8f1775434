#!/usr/bin/env python3
"""Asks a Prometheus all that boards and rules ask of it.

    answers.py HOST:PORT SINCE SECONDS    which has scraped since the time SINCE (seconds since 1970)

Exit status 0: within SECONDS every query of a board and every recorded series had an answer at some time since then,
and no rule is in error. Left out is what asks for alerts and for other exporters' metrics. In the environment of requirements.txt.
"""

import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

sys.path.append(str(pathlib.Path(__file__).parents[1] / "prometheus"))
import boards_test  # noqa: E402
import promql  # noqa: E402

# Variables of boards; all others: everything.
CHOSEN = {"neutral": "neutral", "inoculated": "inoculated", "reference": "no-inoculation", "trait": "spanish"}
CALL_S, POLL_S = 60, 1


def expressions():
    """(what, expression) of every recorded series and of every query of a board, without variables."""
    for rule in promql.rules():
        if "record" in rule:
            yield f"rule {rule['record']}", rule["record"]
    for board, panel, expression, legend in boards_test.queries():
        plain = re.sub(r"\$__\w+", "1m", expression)
        yield f"{board}, {panel}, {legend}", re.sub(r"\$(\w+)", lambda found: CHOSEN.get(found[1], ".+"), plain)


class Prometheus:
    def __init__(self, address, since):
        self._address, self._since = address, since

    def ask(self, path, **arguments):
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=CALL_S) as answer:
            return json.load(answer)["data"]

    def has_answer(self, expression):
        """At any time since the start: series of ended jobs go away, and a scrape may fail."""
        return bool(self.ask("query_range", query=expression, start=self._since, end=time.time(), step=1)["result"])

    def unhealthy_rules(self):
        return [rule["name"] for group in self.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]


def main():
    address, since, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    end = time.monotonic() + seconds
    prometheus = Prometheus(address, since)
    known = promql.known()
    # Without an alert ALERTS has no answer, and should have none.
    left_out = set(promql.FOREIGN) - {"up"}
    asked = [(what, one) for what, one in expressions() if not promql.check(one, known) & left_out]
    silent = asked
    while True:
        silent = [(what, one) for what, one in silent if not prometheus.has_answer(one)]
        faults = [f"no answer: {what}: {one}" for what, one in silent]
        faults += [f"a rule is in error or was not evaluated: {name}" for name in prometheus.unhealthy_rules()]
        if not faults:
            break
        if time.monotonic() > end:
            sys.exit("\n".join(faults))
        time.sleep(POLL_S)
    print(f"{len(asked)} queries of boards and recorded series were answered")


if __name__ == "__main__":
    main()
