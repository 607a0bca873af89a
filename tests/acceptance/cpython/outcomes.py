# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one module of CPython's test-suite and write each test's outcome, one JSON array a line.

Started by :mod:`tests.acceptance.cpython.suite` in the native Python and in the guest's alike, so it uses the standard
library alone.  Arguments: the file to append to, the seconds after which a single test counts as stuck, the module, and
parts of the names of tests: with a minus sign those that are left out, else those that are run.
"""

# ruff: noqa: N802 - the names are unittest's

from __future__ import annotations

import faulthandler
import json
import os
import sys
import unittest
from collections.abc import Iterator
from typing import Any


class Record(unittest.TextTestResult):
    """Write an outcome as soon as it stands, so a crash later in the module does not lose it."""

    path = ""
    limit = 0.0

    def write(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        """Append one line: name, outcome, and the last line of the reason."""
        # By name each time: the tests fork, and close or replace descriptors.
        line = json.dumps([test.id(), outcome, detail]) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, line.encode())
        os.close(file)

    def startTest(self, test: unittest.TestCase) -> None:
        """Start the clock of this test."""
        super().startTest(test)
        self.write(test, "started")
        faulthandler.dump_traceback_later(self.limit, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        """Stop the clock."""
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)

    def addSuccess(self, test: unittest.TestCase) -> None:
        """Record a success."""
        super().addSuccess(test)
        self.write(test, "ok")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """Record a skipped test with its reason."""
        super().addSkip(test, reason)
        self.write(test, "skip", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        """Record a failure that CPython expects."""
        super().addExpectedFailure(test, err)
        self.write(test, "ok", "expected failure")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        """Record a failure."""
        super().addFailure(test, err)
        self.write(test, "fail", str(err[1])[-400:])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        """Record an exception that is no failed assertion."""
        super().addError(test, err)
        self.write(test, "fail", repr(err[1])[-400:])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        """Record a failed part under its test's name."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.write(test, "fail", f"{subtest.id()}: {err[1]!r}"[-400:])


def each(tests: Any) -> Iterator[unittest.TestCase]:
    """Every test of suites of suites."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


def main() -> None:
    """Load the module, keep the tests that the patterns name, run them."""
    Record.path, limit, module, *patterns = sys.argv[1:]
    Record.limit = float(limit)
    from test import support

    support.verbose = 0
    wanted = [pattern for pattern in patterns if not pattern.startswith("-")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("-")]
    chosen = unittest.TestSuite(
        test
        for test in each(unittest.defaultTestLoader.loadTestsFromName(f"test.{module}"))
        if (not wanted or any(part in test.id() for part in wanted))
        and not any(part in test.id() for part in unwanted)
    )
    unittest.TextTestRunner(sys.stderr, verbosity=2, resultclass=Record).run(chosen)


if __name__ == "__main__":
    main()
