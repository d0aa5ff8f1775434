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
        # Every metric that the code touches is a row: the table was read to its end.
        named = set(table.re.findall(r'"(jenner_\w+)"', table.SOURCE.read_text()))
        self.assertEqual(set(rows), named)
        self.assertEqual(rows["jenner_job_requeues_total"].labels, ("reason",))
        self.assertEqual(rows["jenner_store_commit_seconds"].series()["jenner_store_commit_seconds_bucket"],
                         {"store", "le", "job", "instance"})


if __name__ == "__main__":
    unittest.main()
