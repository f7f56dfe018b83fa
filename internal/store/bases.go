package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// chainBytes is how much of a chain ID is kept.
const chainBytes = 16

// AddBases adds images that may be underneath others, in one transaction, and says how many were not there. Thousands at a
// time are fast; one that is there already is left as it is.
func (s *Store) AddBases(ctx context.Context, bases []stemma.KnownBase) (added int, err error) {
	rows := make([]knownRow, 0, len(bases))
	for _, b := range bases {
		r := knownRow{repository: b.Image.Repository}
		chain, err := raw(b.ChainID)
		if err != nil {
			return 0, fmt.Errorf("adding base %s: chain ID: %w", b.Image, err)
		}
		r.chain = [chainBytes]byte(chain)
		manifest, err := raw(b.Image.Digest)
		if err != nil {
			return 0, fmt.Errorf("adding base %s: manifest: %w", b.Image, err)
		}
		r.manifest = [32]byte(manifest)
		if b.Index != "" {
			index, err := raw(b.Index)
			if err != nil {
				return 0, fmt.Errorf("adding base %s: index: %w", b.Image, err)
			}
			r.index = string(index)
		}
		if r.repository == "" {
			return 0, fmt.Errorf("adding base %s: it has no repository", b.Image)
		}
		rows = append(rows, r)
	}
	// In the order of the table its pages are filled one after another, and stay full.
	slices.SortFunc(rows, func(a, b knownRow) int {
		if c := bytes.Compare(a.chain[:], b.chain[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.manifest[:], b.manifest[:])
	})
	err = s.write(ctx, func(tx *sql.Tx) error {
		added, err = addRows(ctx, tx, rows)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("adding bases to store %s: %w", s.path, err)
	}
	return added, nil
}

// knownRow is a row of known. Arrays, as millions of slices would be as much to collect.
type knownRow struct {
	chain      [chainBytes]byte
	manifest   [32]byte
	index      string // bytes
	repository string
}

// rowsAtOnce is how many rows one statement inserts.
const rowsAtOnce = 200

func addRows(ctx context.Context, tx *sql.Tx, rows []knownRow) (added int, err error) {
	repositories, indexes := map[string]int64{}, map[string]int64{}
	insert := func(n int) string {
		return "INSERT OR IGNORE INTO known (chain, manifest, repository, named) VALUES (?,?,?,?)" + strings.Repeat(",(?,?,?,?)", n-1)
	}
	many, err := tx.PrepareContext(ctx, insert(rowsAtOnce))
	if err != nil {
		return 0, err
	}
	old, err := tx.PrepareContext(ctx, "SELECT named FROM known WHERE chain = ? AND manifest = ?")
	if err != nil {
		return 0, errors.Join(err, many.Close())
	}
	name, err := tx.PrepareContext(ctx, "INSERT INTO named (digest) VALUES (?)")
	if err != nil {
		return 0, errors.Join(err, many.Close(), old.Close())
	}
	defer func() { err = errors.Join(err, many.Close(), old.Close(), name.Close()) }()
	args := make([]any, 0, 4*rowsAtOnce)
	for len(rows) > 0 {
		n := min(len(rows), rowsAtOnce)
		args = args[:0]
		for i := range rows[:n] {
			r := &rows[i]
			repository, ok := repositories[r.repository]
			if !ok {
				if repository, err = repositoryID(ctx, tx, r.repository); err != nil {
					return 0, err
				}
				repositories[r.repository] = repository
			}
			var named any
			if r.index != "" {
				id, ok := indexes[r.index]
				if !ok {
					if id, err = indexID(ctx, old, name, r); err != nil {
						return 0, err
					}
					indexes[r.index] = id
				}
				named = id
			}
			args = append(args, r.chain[:], r.manifest[:], repository, named)
		}
		var result sql.Result
		if n == rowsAtOnce {
			result, err = many.ExecContext(ctx, args...)
		} else {
			result, err = tx.ExecContext(ctx, insert(n), args...)
		}
		if err != nil {
			return 0, err
		}
		affected, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		added += int(affected)
		rows = rows[n:]
	}
	return added, nil
}

func repositoryID(ctx context.Context, tx *sql.Tx, name string) (id int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT id FROM repository WHERE name = ?", name).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	result, err := tx.ExecContext(ctx, "INSERT INTO repository (name) VALUES (?)", name)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// indexID is the number of an index: that of the row that is there already, or a new one.
func indexID(ctx context.Context, known, name *sql.Stmt, r *knownRow) (int64, error) {
	var old sql.NullInt64
	err := known.QueryRowContext(ctx, r.chain[:], r.manifest[:]).Scan(&old)
	if err == nil && old.Valid || err != nil && !errors.Is(err, sql.ErrNoRows) {
		return old.Int64, err
	}
	result, err := name.ExecContext(ctx, []byte(r.index))
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// idsAtOnce is how many chain IDs one statement looks up: most images have fewer layers.
const idsAtOnce = 16

// Known lists the images of which the last chain ID is one of these, in the order of their digests.
func (s *Store) Known(ctx context.Context, chainIDs []stemma.Digest) (out []stemma.KnownBase, err error) {
	for chunk := range slices.Chunk(chainIDs, idsAtOnce) {
		if out, err = s.known(ctx, chunk, out); err != nil {
			return nil, fmt.Errorf("looking up bases in store %s: %w", s.path, err)
		}
	}
	slices.SortFunc(out, func(a, b stemma.KnownBase) int {
		return strings.Compare(string(a.Image.Digest)+a.Image.Repository, string(b.Image.Digest)+b.Image.Repository)
	})
	return out, nil
}

// maxKnown is how many images of the same layers are returned at most.
const maxKnown = 1024

func (s *Store) known(ctx context.Context, ids []stemma.Digest, out []stemma.KnownBase) (_ []stemma.KnownBase, err error) {
	args := make([]any, idsAtOnce+1)
	for i := range idsAtOnce {
		b, err := raw(ids[min(i, len(ids)-1)]) // the same once more finds the same
		if err != nil {
			return nil, fmt.Errorf("chain ID: %w", err)
		}
		args[i] = b[:chainBytes]
	}
	args[idsAtOnce] = maxKnown
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Watching for the end of a context takes as long as the look-up.
	rows, err := s.lookUp.QueryContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var chain, manifest, index sql.RawBytes
		var b stemma.KnownBase
		if err := rows.Scan(&chain, &manifest, &b.Image.Repository, &index); err != nil {
			return nil, err
		}
		at := slices.IndexFunc(args[:idsAtOnce], func(a any) bool { return bytes.Equal(a.([]byte), chain) })
		if at < 0 || len(manifest) != 32 {
			return nil, errors.New("a row that is no image: the store is damaged")
		}
		b.ChainID, b.Image.Digest, b.Index = ids[min(at, len(ids)-1)], digest(manifest), digest(index)
		out = append(out, b)
	}
	return out, rows.Err()
}

// lookUp finds known images by chain IDs.
func lookUp() string {
	return `SELECT k.chain, k.manifest, (SELECT name FROM repository WHERE id = k.repository), (SELECT digest FROM named WHERE id = k.named)
		FROM known k WHERE k.chain IN (?` + strings.Repeat(",?", idsAtOnce-1) + `) LIMIT ?`
}

// Bases is how many images are known.
func (s *Store) Bases(ctx context.Context) (n int, err error) {
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM known").Scan(&n); err != nil {
		return 0, fmt.Errorf("counting bases of store %s: %w", s.path, err)
	}
	return n, nil
}

// RemoveBase forgets an image, by the digest of its manifest, and says whether it was there.
func (s *Store) RemoveBase(ctx context.Context, manifest stemma.Digest) (removed bool, err error) {
	m, err := raw(manifest)
	if err != nil {
		return false, err
	}
	result, err := s.db.ExecContext(ctx, "DELETE FROM known WHERE manifest = ?", m)
	if err != nil {
		return false, fmt.Errorf("removing a base from store %s: %w", s.path, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Content is what a blob unpacks to, if that was computed. A store that does not answer knows nothing.
func (s *Store) Content(blob stemma.Digest) (diffID stemma.Digest, ok bool) {
	b, err := raw(blob)
	if err != nil {
		return "", false
	}
	var d []byte
	if s.db.QueryRow("SELECT diffid FROM content WHERE blob = ?", b).Scan(&d) != nil {
		return "", false
	}
	diffID = digest(d)
	return diffID, diffID != ""
}

// Keep remembers what a blob unpacks to. What could not be kept is computed again.
func (s *Store) Keep(blob, diffID stemma.Digest) {
	b, err := raw(blob)
	if err != nil {
		return
	}
	d, err := raw(diffID)
	if err != nil {
		return
	}
	_, _ = s.db.Exec("INSERT OR REPLACE INTO content (blob, diffid) VALUES (?, ?)", b, d) // see above
}
