"""docs/metrics.md is what the code's table says."""

import unittest

import reference
import table


class ReferenceTest(unittest.TestCase):
    def test_the_page_is_not_stale(self):
        self.assertEqual(reference.PAGE.read_text(), reference.page(), "run deploy/prometheus/reference.py")

    def test_rows(self):
        rows = {metric.name: metric for metric in table.metrics()}
        self.assertEqual(len(rows), len(table.metrics()))
        # The table was read to its end, and every metric that the code touches is a row.
        for source in (table.TABLE, table.SOURCE):
            self.assertEqual(set(table.re.findall(r'"(jenner_\w+)"', source.read_text())), set(rows))
        for metric in table.metrics():
            self.assertFalse(set(metric.labels) & set(table.OF_TARGET), "taken by Prometheus")
        self.assertEqual(rows["jenner_job_requeues_total"].labels, ("reason",))
        self.assertEqual(rows["jenner_store_commit_seconds"].series()["jenner_store_commit_seconds_bucket"],
                         {"store", "le", "job", "instance"})


if __name__ == "__main__":
    unittest.main()
