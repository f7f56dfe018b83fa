package stemmatest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"time"
)

// timestampQuery is a TimeStampReq (RFC 3161 section 2.4.1).
type timestampQuery struct {
	Version int
	Imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Hash      []byte
	}
	Policy       asn1.ObjectIdentifier `asn1:"optional"`
	Nonce        *big.Int              `asn1:"optional"`
	Certificates bool                  `asn1:"optional"`
}

// Server answers questions for timestamps over HTTP (RFC 3161 section 3.4), for signatures that are made at the given
// time.
func (t *TSA) Server(at time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		var q timestampQuery
		if err == nil {
			_, err = asn1.Unmarshal(query, &q)
		}
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" || len(q.Imprint.Hash) != 32 {
			http.Error(w, "this is no question for a timestamp over a SHA-256", http.StatusBadRequest)
			return
		}
		token, err := t.stamp(q.Imprint.Hash, q.Nonce, at)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(token) // who asked has gone
	})
}
