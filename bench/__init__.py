"""Benchmarks: every figure stands beside its yardstick from the same run (`make bench`)."""
