#!/usr/bin/env bash
# The one test command. On a Debian with Rust on it, from a clean checkout: installs what is missing
# (Debian packages where it may, and the clients of tests/clients into .clients/), then checks the
# formatting, the lints, the documentation, and runs every test. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")"
exec </dev/null

section() { printf '\n=== %s ===\n' "$*"; }

fail() {
    echo "test.sh: $*" >&2
    exit 1
}

# What of the Debian packages that the tests need is not there yet.
missing_packages() {
    command -v cc >/dev/null || echo gcc libc6-dev
    command -v curl >/dev/null || echo curl
    # Where Python comes without ensurepip it cannot make a virtual environment.
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
}

section "What the tests need"
missing=$(missing_packages | xargs)
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "please install: $missing"
    echo "installing Debian packages: $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi
command -v cargo >/dev/null || fail "please install Rust 1.95 or later (https://rustup.rs)"
for component in fmt clippy; do
    cargo $component --version >/dev/null 2>&1 || rustup component add "${component/#fmt/rustfmt}" ||
        fail "please install cargo $component"
done
./tests/clients/install.sh
echo "$(cargo --version), $(python3 --version), node $(.clients/node --version), $(curl --version | head -n 1 | cut -d ' ' -f 1,2)"

section "Formatting"
cargo fmt --all --check
if git grep -nE '^(<{7}|>{7})( |$)' 2>/dev/null; then fail "the marks of a merge were left"; fi

section "Lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

section "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

section "Tests"
cargo test --workspace --locked
