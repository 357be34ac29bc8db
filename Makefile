# Every verb does its own set-up: system packages, build, run.

KIND    ?= video
LISTEN  ?= 127.0.0.1:7700
TRACKER ?= ws://$(LISTEN)
LIBRARY ?= $(wildcard demo-data/library/tracker)
SHARE   ?=
ARGS    ?=
BIN     := $(or $(CARGO_TARGET_DIR),target)/debug

.DEFAULT_GOAL := help
.PHONY: help setup demo test optimum bench compare tracker peer client console check clean-demo

help: ## What there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## A tracker, two sharing peers and the client, playing (KIND=video or audio)
	@scripts/setup.sh build demo
	@KIND=$(KIND) scripts/demo.sh

test: ## The whole test suite, scenarios on the real programs included
	@scripts/setup.sh build test
	@scripts/test.sh $(ARGS)

optimum: ## Shares of uplinks against HiGHS's optimum, up to 3,000 receivers (compiles the solver: minutes)
	@scripts/setup.sh build exact
	cargo test --workspace --features benches/highs --test optimum -- --nocapture

bench: ## The criterion benchmarks
	@scripts/setup.sh build
	cargo bench --workspace $(ARGS)

compare: ## Rusteze beside nginx, rqbit, libtorrent and webtorrent on the same wires (ARGS="bulk start --rounds 5")
	@scripts/setup.sh build test
	benches/compare/run $(ARGS)

tracker: ## A tracker (LISTEN=127.0.0.1:7700 LIBRARY=folder)
	@scripts/setup.sh build
	cargo build --workspace --bins
	$(BIN)/rusteze-tracker --listen $(LISTEN) $(if $(LIBRARY),--library "$(LIBRARY)") $(ARGS)

peer: ## A peer without a window (TRACKER=ws://host:port KIND=video SHARE=folder)
	@scripts/setup.sh build
	cargo build --workspace --bins
	$(BIN)/rusteze-peer --tracker $(TRACKER) --kind $(KIND) $(if $(SHARE),--share "$(SHARE)") $(ARGS)

client: ## The desktop client (TRACKER=ws://host:port KIND=video SHARE=folder)
	@scripts/setup.sh build demo
	cargo build --workspace --bins
	$(BIN)/rusteze --tracker $(TRACKER) --kind $(KIND) $(if $(SHARE),--share "$(SHARE)") $(ARGS)

console: ## The WebSocket debug console of a running tracker, in a browser
	@url=http://$(LISTEN)/console; echo "debug console: $$url"; \
	if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] && command -v xdg-open >/dev/null; then xdg-open "$$url"; fi

setup: ## The system packages alone
	@scripts/setup.sh

check: ## What continuous integration runs
	@.ci/run

clean-demo: ## Forget the generated library and everything the demo kept
	rm -rf demo-data
