# SPDX-License-Identifier: GPL-2.0-or-later
# Hashes, regular expressions and strings, N rounds.
use strict;
use warnings;

my (%counts, $total);
for my $i (1 .. $ARGV[0]) {
    my $line = "key" . ($i * 7919 % 1009) . "=value $i; rest";
    if ($line =~ /^(\w+)=(\w+) (\d+);/) {
        $counts{$1} += $3;
        $total += length($2) + ($3 =~ tr/0-4//);
    }
}
print "$total ", scalar(keys %counts), " ", join(",", (sort keys %counts)[0 .. 2]), "\n";
