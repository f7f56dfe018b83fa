# make test is all that a change has to pass on a machine with Go; the rest is what CI adds.

GOFUMPT     = go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: all build demo test e2e race lint vuln fuzz bench

all: build test lint

build:
	go build -trimpath -o bin/stemma ./cmd/stemma

demo:
	go run ./cmd/stemma demo

test:
	go test -timeout 30m ./...

# e2e builds images with BuildKit and buildah, and judges them with the program as it is installed. It needs Debian, root and
# namespaces, and a few minutes for the first time.
e2e:
	@bin=$$(bash e2e/tools.sh) && STEMMA_E2E_BIN=$$bin go test -tags e2e -count=1 -timeout 30m ./e2e

# race looks for data races, for which fewer mutants and smaller documents do as well.
race:
	go test -race -short -timeout 30m ./...

# lint fails on the first tool that has something to say.
lint:
	go vet ./...
	go vet -tags e2e ./e2e
	@out=$$($(GOFUMPT) -l .) && test -z "$$out" || { echo "not gofumpt-clean:"; echo "$$out"; exit 1; }
	$(STATICCHECK) ./...

# vuln needs the Go vulnerability database, which is not on the module proxy.
vuln:
	$(GOVULNCHECK) ./...

# fuzz gives every fuzz target a short run beyond its seeds.
FUZZTIME = 10s
fuzz:
	@go list ./... | while read pkg; do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; go test $$pkg -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

# bench prints the table of speed and memory: library figures first, then whole processes.
bench:
	go test -run '^$$' -bench . -benchmem ./internal/sigstore ./internal/lineage ./internal/store ./policy ./verify ./cmd/stemma
