#!/usr/bin/env bash
# Builds every program and test once, then runs all of them; arguments go to the test runner.
set -euo pipefail
cd "$(dirname "$0")/.."

# The scenario tests run the real programs, which no test target builds by itself.
cargo build --workspace --bins --tests

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --no-fail-fast "$@"
  # nextest leaves documentation examples out.
  exec cargo test --workspace --doc --quiet
fi
exec cargo test --workspace --no-fail-fast "$@"
