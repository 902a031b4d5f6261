# What people type. README.md explains; ARCHITECTURE.md has the house.
.PHONY: build test unit blackbox arm64 deps lint cross bench bench-peers fuzz soak clean
export CGO_ENABLED=0

build: ## a static binary in bin/
	go build -trimpath -ldflags "-s -w" -o bin/galerne ./cmd/galerne

test: ## everything, in about 15 minutes the first time
	$(MAKE) -j2 deps build cross
	$(MAKE) lint unit blackbox

deps: ## what the tests need, in .deps (Python packages, vocabularies, small real models)
	python3 test/deps.py

unit:
	go test -timeout 20m $$(go list ./... | grep -v /test/)

blackbox: build ## the built binary, with real models and real clients
	go test -count=1 -timeout 20m ./test/...

arm64: ## the kernels and networks for arm64, in an emulator; a part of blackbox too
	go test -count=1 -v ./test/arm64

lint:
	go vet ./...
	go test -count=1 ./internal/house
	.deps/bin/staticcheck ./...

cross: ## the other systems must build too
	GOOS=linux GOARCH=arm64 go build -o bin/cross/galerne-linux-arm64 ./cmd/galerne
	GOOS=darwin GOARCH=arm64 go build -o bin/cross/galerne-darwin-arm64 ./cmd/galerne
	GOOS=windows GOARCH=amd64 go build -o bin/cross/galerne-windows-amd64.exe ./cmd/galerne
	go vet -tags purego ./internal/kernel/...

bench: build ## this machine's numbers, without peers
	python3 bench/bench.py

bench-peers: build ## beside llama.cpp, in the same run
	python3 bench/bench.py --peers --large

fuzz: ## a minute on every fuzz target
	python3 test/fuzz.py --seconds 60

soak: build ## two minutes of callers who leave: nothing may stay behind
	python3 test/soak.py --seconds 60

clean:
	rm -rf bin
