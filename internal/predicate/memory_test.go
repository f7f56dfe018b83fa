package predicate

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// writeSPDX writes an SPDX document of about size bytes such as syft makes of a large image. A dense one has nothing but
// what is kept. It returns how many packages it has.
func writeSPDX(w *bufio.Writer, size int, dense bool) int {
	fmt.Fprint(w, `{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"registry.example/app",`,
		`"creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Organization: Acme","Tool: syft-1.18.0"]},"packages":[`,
		`{"SPDXID":"SPDXRef-Root","name":"registry.example/app","versionInfo":"sha256:`, strings.Repeat("ab", 32), `","primaryPackagePurpose":"CONTAINER"}`)
	n, written := 1, 400
	for ; written < size*4/5; n++ {
		text := fmt.Sprintf(`,{"SPDXID":"SPDXRef-Package-deb-lib%d-%016x","name":"lib%d","versionInfo":"1.%d.0-1","supplier":"Organization: Debian","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/lib%d@1.%d.0-1?arch=amd64"}`, n, n, n, n, n, n)
		if !dense {
			for v := range 6 {
				text += fmt.Sprintf(`,{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:vendor%d:lib%d:1.%d.0-1:*:*:*:*:*:*:*"}`, v, n, n)
			}
		}
		text += `]`
		if !dense {
			text += `,"downloadLocation":"NOASSERTION","filesAnalyzed":false,"licenseConcluded":"NOASSERTION","licenseDeclared":"GPL-2.0-only AND LGPL-2.1-or-later","copyrightText":"NOASSERTION","sourceInfo":"acquired package info from DPKG DB: /var/lib/dpkg/status"`
		}
		text += `}`
		written += len(text)
		fmt.Fprint(w, text)
	}
	fmt.Fprint(w, `],"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-Root"}`)
	for i := 1; written < size; i++ {
		text := fmt.Sprintf(`,{"spdxElementId":"SPDXRef-Root","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-Package-deb-lib%d-%016x"}`, i, i)
		written += len(text)
		fmt.Fprint(w, text)
	}
	fmt.Fprint(w, `]}`)
	return n
}

// writeCycloneDX is writeSPDX for CycloneDX.
func writeCycloneDX(w *bufio.Writer, size int, dense bool) int {
	fmt.Fprint(w, `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-01-02T03:04:05Z","tools":{"components":[{"type":"application","name":"syft","version":"1.18.0"}]},`,
		`"component":{"bom-ref":"root","type":"container","name":"registry.example/app","version":"sha256:`, strings.Repeat("ab", 32), `"}},"components":[{"type":"operating-system","name":"debian","version":"13"}`)
	n, written := 2, 400
	for ; written < size*4/5; n++ {
		text := fmt.Sprintf(`,{"bom-ref":"pkg:deb/debian/lib%d@1.%d.0-1?package-id=%016x","type":"library","publisher":"Debian","name":"lib%d","version":"1.%d.0-1","purl":"pkg:deb/debian/lib%d@1.%d.0-1?arch=amd64"`, n, n, n, n, n, n, n)
		if !dense {
			text += `,"licenses":[{"license":{"id":"GPL-2.0-only"}}],"properties":[{"name":"syft:package:foundBy","value":"dpkg-db-cataloger"}`
			for v := range 6 {
				text += fmt.Sprintf(`,{"name":"syft:cpe23","value":"cpe:2.3:a:vendor%d:lib%d:1.%d.0-1:*:*:*:*:*:*:*"}`, v, n, n)
			}
			text += `]`
		}
		text += `}`
		written += len(text)
		fmt.Fprint(w, text)
	}
	fmt.Fprint(w, `],"dependencies":[{"ref":"root","dependsOn":["x"`)
	for i := 1; written < size; i++ {
		text := fmt.Sprintf(`,"pkg:deb/debian/lib%d@1.%d.0-1?package-id=%016x"`, i, i, i)
		written += len(text)
		fmt.Fprint(w, text)
	}
	fmt.Fprint(w, `]}]}`)
	return n
}

// TestSBOMMemory reads an SBOM of 50 MiB in a process of its own, and looks at the most memory that it had.
func TestSBOMMemory(t *testing.T) {
	if path := os.Getenv("STEMMA_TEST_SBOM"); path != "" {
		childSBOM(t, path)
		return
	}
	if testing.Short() {
		t.Skip("the race detector takes the memory that is measured here")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the peak of memory is read from /proc")
	}
	for _, c := range []struct {
		name, mediaType string
		dense           bool
		write           func(*bufio.Writer, int, bool) int
	}{
		{"SPDX", "application/spdx+json", false, writeSPDX},
		{"SPDX, dense", "application/spdx+json", true, writeSPDX},
		{"CycloneDX", "application/vnd.cyclonedx+json", false, writeCycloneDX},
		{"CycloneDX, dense", "application/vnd.cyclonedx+json", true, writeCycloneDX},
	} {
		path := filepath.Join(t.TempDir(), "sbom.json")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriter(file)
		n := c.write(w, 50<<20, c.dense)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestSBOMMemory$", "-test.v")
		child.Env = append(os.Environ(), "STEMMA_TEST_SBOM="+path, "STEMMA_TEST_TYPE="+c.mediaType, "STEMMA_TEST_PACKAGES="+strconv.Itoa(n))
		out, err := child.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
			continue
		}
		_, line, _ := bytes.Cut(out, []byte("peak "))
		line, _, _ = bytes.Cut(line, []byte("\n"))
		kib, _, _ := strings.Cut(string(line), " ")
		peak, err := strconv.Atoi(kib)
		if err != nil {
			t.Fatalf("%s: %s", c.name, out)
		}
		if t.Logf("%s, %d packages: %d MiB, %s", c.name, n, peak>>10, line); peak > 100<<10 {
			t.Errorf("%s: %d KiB, limit 100 MiB", c.name, peak)
		}
	}
}

// childSBOM reads one SBOM and prints what it took.
func childSBOM(t *testing.T, path string) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	start := time.Now()
	d, err := ReadSBOM("sha256:00", os.Getenv("STEMMA_TEST_TYPE"), file)
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := strconv.Atoi(os.Getenv("STEMMA_TEST_PACKAGES"))
	if b := d.SBOM; len(b.Subjects) != 1 || b.Elements.Components != want || len(b.Packages) != want-1 {
		t.Fatalf("%+v, %d packages of %d, subjects %v", b.Elements, len(b.Packages), want, b.Subjects)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, "kB")
	fmt.Printf("peak %s KiB in %v\n", strings.TrimSpace(peak), took.Round(time.Millisecond))
	runtime.KeepAlive(d)
}

func BenchmarkSBOM50MiB(b *testing.B) {
	for name, write := range map[string]func(*bufio.Writer, int, bool) int{"application/spdx+json": writeSPDX, "application/vnd.cyclonedx+json": writeCycloneDX} {
		b.Run(name, func(b *testing.B) {
			var doc bytes.Buffer
			w := bufio.NewWriter(&doc)
			write(w, 50<<20, false)
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(doc.Len()))
			for b.Loop() {
				if _, err := ReadFile("sha256:00", name, doc.Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
