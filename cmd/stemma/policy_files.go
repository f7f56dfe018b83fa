package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stemma/policy"
	"stemma/verify"
)

// policyFile is a file of policies, and what lies beside it: of waiver.yaml, waiver.yaml.sigstore.json.
type policyFile struct {
	policy.File
	path      string
	signature *policy.File // nil: there is none
}

// same reports whether two are the same file.
func (f policyFile) same(other policyFile) bool {
	a, errA := filepath.Abs(f.path)
	b, errB := filepath.Abs(other.path)
	return errA == nil && errB == nil && a == b
}

// readPolicies reads policy files, and all .yaml and .yml files of directories. What is named twice is read once.
func readPolicies(args []string) ([]policyFile, error) {
	var files []policyFile
	add := func(path string) error {
		if slices.ContainsFunc(files, policyFile{path: path}.same) {
			return nil
		}
		if len(files) == maxPolicyFiles {
			return &usageError{fmt.Errorf("more than %d policy files", maxPolicyFiles), "give the directory of one policy set"}
		}
		data, err := readFile(path, maxPolicyFile)
		if err != nil {
			return &usageError{fmt.Errorf("reading a policy: %w", err), "give the path of a policy file or of a directory of them"}
		}
		f := policyFile{File: policy.File{Name: clean(path), Data: data}, path: path} // the name is printed beside every line of it
		switch data, err := readFile(path+signatureSuffix, maxPolicyFile); {
		case err == nil:
			f.signature = &policy.File{Name: clean(path + signatureSuffix), Data: data}
		case !errors.Is(err, fs.ErrNotExist):
			return &usageError{fmt.Errorf("reading the signature of a policy: %w", err), "a Sigstore bundle is expected there"}
		}
		files = append(files, f)
		return nil
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			if err := add(arg); err != nil {
				return nil, err
			}
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, &usageError{fmt.Errorf("reading policies: %w", err), ""}
		}
		before := len(files)
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				if err := add(filepath.Join(arg, e.Name())); err != nil {
					return nil, err
				}
			}
		}
		if len(files) == before {
			return nil, &usageError{fmt.Errorf("no policy in %s", arg), "policy files end in .yaml or .yml"}
		}
	}
	return files, nil
}

// loaded reads the documents of files as one set, and lists the signatures that lie beside them.
func loaded(files []policyFile) (*policy.Set, []policy.File, error) {
	documents, signatures := parted(files)
	set, err := policy.Load(documents...)
	return set, signatures, err
}

// parted lists files, in the order of their names, and the signatures beside them.
func parted(files []policyFile) (documents, signatures []policy.File) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b policyFile) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		documents = append(documents, f.File)
		if f.signature != nil {
			signatures = append(signatures, *f.signature)
		}
	}
	return documents, signatures
}

// loadPolicies reads policy files, directories of them and published sets, by digest, as one set, and the signatures that
// lie beside them. Of f it needs what says how registries are reached.
func (a *app) loadPolicies(ctx context.Context, f *collecting, args []string) (*policy.Set, []policy.File, error) {
	files, err := a.findPolicies(ctx, f, args)
	if err != nil {
		return nil, nil, err
	}
	return loaded(files)
}

// findPolicies reads what loadPolicies loads.
func (a *app) findPolicies(ctx context.Context, f *collecting, args []string) ([]policyFile, error) {
	var local []string
	var files []policyFile
	for i, arg := range args {
		published, err := verify.IsPolicyReference(arg)
		switch {
		case err != nil:
			return nil, err
		case !published:
			local = append(local, arg)
			continue
		case slices.Contains(args[:i], arg):
			continue // it is read once, as a file is
		}
		config, err := a.config(f, nil)
		if err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeout(ctx, cmp.Or(f.timeout, time.Minute))
		p, err := verify.FetchPolicies(limited, config, arg)
		cancel()
		if err != nil {
			return nil, err
		}
		for j, file := range p.Named() {
			one := policyFile{File: file, path: file.Name}
			for _, s := range p.Signatures {
				if s.Name == p.Files[j].Name+signatureSuffix {
					one.signature = &policy.File{Name: file.Name + signatureSuffix, Data: s.Data}
				}
			}
			files = append(files, one)
		}
	}
	read, err := readPolicies(local)
	return append(files, read...), err
}

// written replaces a file in one step: nobody finds half of it.
func written(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".stemma-*")
	if err != nil {
		return &usageError{fmt.Errorf("writing %s: %w", clean(path), err), ""}
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // err says more
		return &usageError{fmt.Errorf("writing %s: %w", clean(path), err), ""}
	}
	return nil
}
