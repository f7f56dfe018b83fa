package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"stemma"
	"stemma/policy"
)

// recordable checks the command line before anything is fetched for it.
func recordable(file string, output bool) error {
	switch {
	case filepath.Ext(file) != caseSuffix:
		return &usageError{fmt.Errorf("--record %s is no case", clean(file)), "cases end in .txtar: --record " + clean(strings.TrimSuffix(file, filepath.Ext(file))) + caseSuffix}
	case output:
		return &usageError{errors.New("--record writes a case, and nothing that --output could be of"), "leave one out"}
	}
	return nil
}

// record writes evidence as a test case, with the policies that it was looked for under and what they make of it. A case that
// somebody has is never replaced: what is wanted in it may be written by hand.
func (a *app) record(file, image string, files []policyFile, e *stemma.Evidence, at stemma.Situation) error {
	documents, _ := parted(files)
	data, err := policy.NewCase(clean(image), e, at, documents...)
	if err != nil {
		return err
	}
	if len(data) > stemma.MaxJSONBytes {
		return fmt.Errorf("recording a case: it has %d bytes, over the limit of %d that cases have", len(data), stemma.MaxJSONBytes)
	}
	done := "recorded"
	switch old, err := readFile(file, stemma.MaxJSONBytes); {
	case err == nil && bytes.Equal(old, data):
		done = "unchanged"
	case !errors.Is(err, fs.ErrNotExist):
		return &usageError{fmt.Errorf("%s is there already", clean(file)), "remove it first, or record under another name"}
	default:
		if err := written(file, data); err != nil {
			return err
		}
	}
	next := "add what is to be said of it, want.txt or expect.txt, or run: stemma policy test " + quote(clean(file)) + " --policy FILE --update"
	if len(files) > 0 {
		next = "stemma policy test " + quote(clean(file))
	}
	fmt.Fprintf(a.stdout, "%s %s\n%s\n", done, clean(file), next)
	return nil
}
