package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"stemma"
)

// drawn is a known image that a number stands for: four platforms to an index, a thousand images to a repository.
func drawn(n int) stemma.KnownBase {
	of := func(what string, n int) stemma.Digest {
		return stemma.SHA256(binary.BigEndian.AppendUint64([]byte(what), uint64(n)))
	}
	return stemma.KnownBase{
		Image: stemma.Image{Repository: fmt.Sprintf("registry.example/base/image-%d", n/1000), Digest: of("manifest", n)},
		Index: of("index", n/4), ChainID: of("chain", n),
	}
}

// million is how many images the benchmark of known images has.
const millions = 2_000_000

// BenchmarkKnown imports two million images, and looks up images of twelve layers among them.
func BenchmarkKnown(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	s, err := Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	b.Run("import", func(b *testing.B) {
		if b.N > 1 {
			b.Skip("once")
		}
		all := make([]stemma.KnownBase, millions)
		for i := range all {
			all[i] = drawn(i)
		}
		b.ResetTimer()
		for range b.N {
			for i := 0; i < len(all); i += 500_000 {
				if n, err := s.AddBases(b.Context(), all[i:i+500_000]); err != nil || n != 500_000 {
					b.Fatal(n, err)
				}
			}
		}
		b.ReportMetric(float64(millions)/b.Elapsed().Seconds(), "images/s")
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	})
	b.Run("look-up", func(b *testing.B) {
		ids := make([]stemma.Digest, 12)
		r := rand.New(rand.NewPCG(1, 2))
		b.ReportAllocs()
		for range b.N {
			b.StopTimer()
			for i := range ids {
				ids[i] = stemma.SHA256(binary.BigEndian.AppendUint64(nil, r.Uint64()))
			}
			want := drawn(r.IntN(millions))
			ids[7] = want.ChainID
			b.StartTimer()
			found, err := s.Known(b.Context(), ids)
			if err != nil || len(found) != 1 || found[0] != want {
				b.Fatal(found, err)
			}
		}
	})
}
