# SPDX-License-Identifier: GPL-2.0-or-later
"""Dictionaries, strings, integers and a class, N rounds."""

import sys


class Counter:
    """Counts words."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, word: str) -> None:
        """Count one more of a word."""
        self.counts[word] = self.counts.get(word, 0) + 1


counter = Counter()
total = 0
for i in range(int(sys.argv[1])):
    word = f"word{i * 7919 % 1009}"
    counter.add(word)
    total += sum(ord(letter) for letter in word) * i % 65521
print(total, len(counter.counts), sorted(counter.counts.items())[:3])
