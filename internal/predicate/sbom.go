package predicate

import (
	"encoding/json"
	"fmt"
	"strings"

	"stemma"
)

// Families of SBOM formats.
const (
	spdx      = "SPDX"
	cyclonedx = "CycloneDX"
)

// sbomType recognises a predicate type: "https://spdx.dev/Document" and "https://cyclonedx.org/bom", alone or with
// "/v" and a version behind.
func sbomType(predicateType string) (family, version string, ok bool) {
	for prefix, family := range map[string]string{"https://spdx.dev/Document": spdx, "https://cyclonedx.org/bom": cyclonedx} {
		rest, found := strings.CutPrefix(predicateType, prefix)
		switch {
		case !found:
		case rest == "":
			return family, "", true
		case strings.HasPrefix(rest, "/v") && isVersion(rest[2:]):
			return family, rest[2:], true
		}
	}
	return "", "", false
}

// ReadFile reads a document that lies in a registry as a file, by the media type of its layer. The Document is empty for
// media types of anything else; an error says that the file is not what its media type says.
func ReadFile(id stemma.Digest, mediaType string, data []byte) (d Document, err error) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	switch mediaType {
	case "application/spdx+json", "text/spdx+json":
		d.SBOM, err = sbom(id, spdx, "", data)
	case "text/spdx":
		text, err := json.Marshal(string(data)) // as cosign attests it
		if err != nil {
			return d, fmt.Errorf("reading SPDX document: %w", err)
		}
		d.SBOM, err = sbom(id, spdx, "", text)
	case "application/vnd.cyclonedx+json":
		d.SBOM, err = sbom(id, cyclonedx, "", data)
	}
	return d, err
}

// document is what is read of an SBOM: that it is one, and its name. Its contents are only held to be strict JSON.
type document struct {
	SPDXVersion string          `json:"spdxVersion"`
	Name        string          `json:"name"`
	Context     json.RawMessage `json:"@context"`
	BOMFormat   string          `json:"bomFormat"`
	SpecVersion string          `json:"specVersion"`
	Metadata    struct {
		Component struct {
			Name string `json:"name"`
		} `json:"component"`
	} `json:"metadata"`
}

// sbom recognises an SBOM. wanted is the version that the predicate type promises, or "".
func sbom(id stemma.Digest, family, wanted string, data json.RawMessage) (*stemma.SBOM, error) {
	version, name, err := sbomVersion(family, data)
	if err != nil {
		return nil, fmt.Errorf("reading %s document: %w", family, err)
	}
	if wanted != "" && version != wanted && !strings.HasPrefix(version, wanted+".") {
		return nil, fmt.Errorf("reading %s document: version %s under the predicate type of version %s", family, version, wanted)
	}
	return &stemma.SBOM{Bundle: id, Format: family + " " + version, Name: name}, nil
}

func sbomVersion(family string, data json.RawMessage) (version, name string, err error) {
	if len(data) > 0 && data[0] == '"' && family == spdx {
		// cosign attests SPDX tag-value documents as one string.
		var text string
		if err := stemma.DecodeJSON(data, &text); err != nil {
			return "", "", err
		}
		line, _, _ := strings.Cut(text, "\n")
		version, ok := strings.CutPrefix(strings.TrimSpace(line), "SPDXVersion: SPDX-")
		if !ok || !isVersion(version) {
			return "", "", fmt.Errorf("a string that does not begin with SPDXVersion: SPDX-")
		}
		return version, "", nil
	}
	var d document
	if err := stemma.DecodeJSON(data, &d); err != nil {
		return "", "", err
	}
	var ok bool
	switch family {
	case cyclonedx:
		version, ok = d.SpecVersion, d.BOMFormat == cyclonedx
		name = d.Metadata.Component.Name
	default:
		if version, ok = strings.CutPrefix(d.SPDXVersion, "SPDX-"); !ok && d.SPDXVersion == "" {
			version, ok = spdx3(d.Context)
		}
		name = d.Name
	}
	if !ok || !isVersion(version) {
		return "", "", fmt.Errorf("the document names no version of %s", family)
	}
	return version, name, nil
}

// spdx3 reads the version of an SPDX 3 document from its JSON-LD context,
// "https://spdx.org/rdf/3.0.1/spdx-context.jsonld".
func spdx3(context json.RawMessage) (string, bool) {
	var uri string
	if len(context) == 0 || context[0] != '"' || stemma.DecodeJSON(context, &uri) != nil {
		return "", false
	}
	rest, ok := strings.CutPrefix(uri, "https://spdx.org/rdf/")
	version, file, _ := strings.Cut(rest, "/")
	return version, ok && file == "spdx-context.jsonld"
}

// isVersion reports whether s is numbers with dots between, such as 2.3 or 3.0.1.
func isVersion(s string) bool {
	if len(s) > 16 {
		return false
	}
	for _, part := range strings.Split(s, ".") {
		if !isDigits(part) {
			return false
		}
	}
	return true
}
