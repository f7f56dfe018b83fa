package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stemma"
)

// RecordLineage keeps what an image, or each platform of it, stands on, in place of what was kept before.
func (s *Store) RecordLineage(ctx context.Context, e *stemma.Evidence) error {
	err := s.write(ctx, func(tx *sql.Tx) error { return recordLineage(ctx, tx, e, e) })
	if err != nil {
		return fmt.Errorf("recording what %s stands on in store %s: %w", e.Image, s.path, err)
	}
	return nil
}

func recordLineage(ctx context.Context, tx *sql.Tx, asked, e *stemma.Evidence) error {
	for _, c := range e.Platforms {
		if c == nil || c.Attestation {
			continue
		}
		if err := recordLineage(ctx, tx, asked, c); err != nil {
			return err
		}
	}
	for depth := 0; e != nil && e.Base != nil && depth < maxDepth; depth++ {
		if err := recordSteps(ctx, tx, asked.Image, e, asked.CollectedAt); err != nil {
			return err
		}
		// What is underneath stands on something, too.
		base := e.Base.Base
		if e.Base.Index != "" {
			base.Digest = e.Base.Index
		}
		e = e.Base.Evidence
		asked = &stemma.Evidence{Image: base, CollectedAt: asked.CollectedAt}
	}
	return nil
}

// recordSteps keeps what one manifest stands on, down to where that ends.
func recordSteps(ctx context.Context, tx *sql.Tx, asked stemma.Image, e *stemma.Evidence, at time.Time) error {
	manifest, err := raw(e.Image.Digest)
	if err != nil {
		return err
	}
	top, err := raw(asked.Digest)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO manifest (digest, asked, repository, platform, seen) VALUES (?,?,?,?,?)",
		manifest, top, asked.Repository, e.Platform.String(), at.Unix())
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM lineage WHERE manifest = ?", manifest); err != nil {
		return err
	}
	depth := 0
	for n := e; n != nil && n.Base != nil && depth < maxDepth; n = n.Base.Evidence {
		depth++
		var base, named, repository any
		if d, err := raw(n.Base.Base.Digest); err == nil {
			base, repository = d, n.Base.Base.Repository
		}
		if d, err := raw(n.Base.Index); err == nil {
			named = d
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO lineage (manifest, depth, grade, base, named, repository) VALUES (?,?,?,?,?,?)",
			manifest, depth, string(n.Base.Grade), base, named, repository)
		if err != nil {
			return err
		}
	}
	return nil
}

// maxDepth is how many steps down are kept. No look goes as deep.
const maxDepth = 64

// Standing is one recorded image that stands on another.
type Standing struct {
	Image    stemma.Image     `json:"image"` // that was asked for: of an index, the index
	Manifest stemma.Digest    `json:"manifest"`
	Platform string           `json:"platform,omitempty"`
	Depth    int              `json:"depth"` // 1: immediately
	Grade    stemma.BaseGrade `json:"grade"` // of that step
	Seen     time.Time        `json:"seen"`
}

// On lists the recorded images that stand on an image, at any depth: by the digest of its manifest, or of an index by which
// it was named. More than limit are not listed, and more says so.
func (s *Store) On(ctx context.Context, base stemma.Digest, limit int) (out []Standing, more bool, err error) {
	b, err := raw(base)
	if err != nil {
		return nil, false, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT m.asked, m.repository, m.digest, m.platform, min(l.depth), l.grade, m.seen
		FROM (SELECT manifest, depth, grade FROM lineage WHERE base = ?1 UNION SELECT manifest, depth, grade FROM lineage WHERE named = ?1) l
		JOIN manifest m ON m.digest = l.manifest GROUP BY m.digest, m.repository ORDER BY m.repository, m.asked, m.platform LIMIT ?2`, b, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("asking store %s what stands on %s: %w", s.path, base.Short(), err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var asked, manifest []byte
		var seen int64
		var st Standing
		if err := rows.Scan(&asked, &st.Image.Repository, &manifest, &st.Platform, &st.Depth, &st.Grade, &seen); err != nil {
			return nil, false, fmt.Errorf("asking store %s what stands on %s: %w", s.path, base.Short(), err)
		}
		st.Image.Digest, st.Manifest, st.Seen = digest(asked), digest(manifest), time.Unix(seen, 0).UTC()
		out = append(out, st)
	}
	if len(out) > limit {
		return out[:limit], true, rows.Err()
	}
	return out, false, rows.Err()
}
