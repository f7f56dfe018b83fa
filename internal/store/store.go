// Package store keeps what was found: images that may be underneath others, what layers unpack to, and what images stand
// on. It is one SQLite file, in write-ahead mode, that several processes may use at a time.
//
// What is read from it is as good as who may write the file: it can propose a base, which is compared with the layers of
// the image all the same, and it is believed about what a blob unpacks to.
package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"stemma"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db     *sql.DB
	path   string
	lookUp *sql.Stmt
}

// version is the schema that this program writes: the number of the last migration.
const version = 1

// Open opens the store in a file, which is made where it is not there. A store of a newer program is refused.
func Open(ctx context.Context, path string) (*Store, error) {
	fail := func(err error) (*Store, error) { return nil, fmt.Errorf("opening store %s: %w", path, err) }
	if dir := filepath.Dir(path); path != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fail(fmt.Errorf("there is no directory %s", dir))
		}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fail(err)
	}
	// A statement that waits for another process does so for ten seconds, and then says that the store is locked.
	// Transactions that read before they write would not wait: each takes its turn to write at its beginning.
	name := url.URL{Scheme: "file", Path: absolute, RawQuery: url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)", "trusted_schema(OFF)",
		"cache_size(-16384)", "mmap_size(536870912)",
	}}.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return fail(err)
	}
	s := &Store{db: db, path: path}
	if err = s.migrate(ctx); err == nil {
		s.lookUp, err = db.PrepareContext(ctx, lookUp())
	}
	if err != nil {
		return fail(errors.Join(err, db.Close()))
	}
	return s, nil
}

// Close closes it.
func (s *Store) Close() error { return s.db.Close() }

// migrate brings the schema to the present, each step whole or not at all.
func (s *Store) migrate(ctx context.Context) error {
	have := 0
	if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > version {
		return fmt.Errorf("it has schema %d, and this program knows %d: use a newer stemma", have, version)
	}
	for n := have + 1; n <= version; n++ {
		text, err := migrations.ReadFile(fmt.Sprintf("migrations/%04d.sql", n))
		if err != nil {
			return err
		}
		err = s.write(ctx, func(tx *sql.Tx) error {
			// Another process may have done it in the meantime.
			now := 0
			if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&now); err != nil || now >= n {
				return err
			}
			_, err := tx.ExecContext(ctx, string(text)+fmt.Sprintf(";\nPRAGMA user_version = %d", n))
			return err
		})
		if err != nil {
			return fmt.Errorf("bringing it to schema %d: %w", n, err)
		}
	}
	return nil
}

// write runs one transaction. Nothing of it is kept when it fails.
func (s *Store) write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// raw is the bytes of a SHA-256.
func raw(d stemma.Digest) ([]byte, error) {
	text, ok := strings.CutPrefix(string(d), "sha256:")
	b, err := hex.DecodeString(text)
	if !ok || err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%q is not a SHA-256", d)
	}
	return b, nil
}

// digest is the SHA-256 of which the bytes are given; "" of none.
func digest(b []byte) stemma.Digest {
	if len(b) != 32 {
		return ""
	}
	return stemma.Digest("sha256:" + hex.EncodeToString(b))
}
