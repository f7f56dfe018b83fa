package oci

import (
	"fmt"
	"strconv"

	"stemma"
)

// readableCopy compares what gcloud prints for people beside an envelope with the statement that is signed in it. Nothing
// here ever reads the copy as evidence; but people do, and a document in which the two differ was changed by somebody.
// What the copy leaves out is no difference: Google prints the statement without the predicate in its newer form.
func readableCopy(o occurrence, envelope []byte) error {
	if o.Build == nil || len(o.Build.Statement) == 0 {
		return nil
	}
	var e struct {
		Payload []byte `json:"payload"`
	}
	if err := stemma.DecodeJSON(envelope, &e); err != nil {
		return err
	}
	signed, err := stemma.ParseJSON(e.Payload)
	if err != nil {
		return nil // it is refused as a statement, for the right reason
	}
	printed, err := stemma.ParseJSON(o.Build.Statement)
	if err != nil {
		return fmt.Errorf("reading build.intotoStatement: %w", err)
	}
	return differs(printed, signed)
}

// differs finds the first value that the copy and the signed statement both have, and in which they differ.
func differs(printed, signed *stemma.JSON) error {
	differ := func(a, b string) error {
		// Of long values what stands before the difference says nothing.
		same := 0
		for same < min(len(a), len(b)) && a[same] == b[same] {
			same++
		}
		if same > 40 {
			a, b = "…"+a[same-20:], "…"+b[same-20:]
		}
		return fmt.Errorf("the readable copy says %.80s at %s, and what is signed says %.80s: somebody changed the document", a, printed.Pointer(), b)
	}
	switch {
	case printed.IsObject() && signed.IsObject():
		members := make(map[string]*stemma.JSON, len(signed.Elems()))
		for _, k := range signed.Elems() {
			members[k.Name()] = k
		}
		for _, k := range printed.Elems() {
			if other := members[k.Name()]; other != nil {
				if err := differs(k, other); err != nil {
					return err
				}
			}
		}
		return nil
	case printed.IsArray() && signed.IsArray():
		a, b := printed.Elems(), signed.Elems()
		if len(a) != len(b) {
			return differ(strconv.Itoa(len(a))+" elements", strconv.Itoa(len(b)))
		}
		for i := range a {
			if err := differs(a[i], b[i]); err != nil {
				return err
			}
		}
		return nil
	case printed.Scalar() == signed.Scalar() && !printed.IsObject() && !printed.IsArray() && !signed.IsObject() && !signed.IsArray():
		return nil
	}
	return differ(string(printed.Raw()), string(signed.Raw()))
}
