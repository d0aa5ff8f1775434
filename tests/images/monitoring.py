"""Prometheus on the running services: it scrapes, its rules work, and the boards' queries have answers."""

import json
import urllib.parse
import urllib.request

from engine import ROOT, run, wait_for

SCRAPE_SECONDS, ANSWER_SECONDS = 60, 180


def active_targets(stack):
    with urllib.request.urlopen(f"http://{stack.prometheus}/api/v1/targets", timeout=30) as answer:
        return json.load(answer)["data"]["activeTargets"]


def check_scrape(stack):
    target, = wait_for("a scrape", SCRAPE_SECONDS,
                       lambda: [one for one in active_targets(stack) if one["health"] == "up"])
    assert target["scrapeUrl"] == "http://coordinator:9464/metrics", target


def check_answer(stack, expression):
    """What a restarted coordinator does not tell again must be seen before."""
    query = urllib.parse.urlencode({"query": expression})

    def answer():
        with urllib.request.urlopen(f"http://{stack.prometheus}/api/v1/query?{query}", timeout=30) as found:
            return json.load(found)["data"]["result"]

    wait_for(f"an answer to {expression}", ANSWER_SECONDS, answer)


def check_answers(stack, since):
    """`since` is in seconds since 1970."""
    environment = run(ROOT / "tools/python-env", "monitoring", capture_output=True).stdout.strip()
    run(f"{environment}/venv/bin/python", ROOT / "deploy/grafana/answers.py", stack.prometheus, str(since),
        str(ANSWER_SECONDS))
