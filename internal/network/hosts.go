package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"stemma"
)

// registriesFile says how particular registries and services are reached. It can change nothing about what evidence
// means, and holds no secrets: it names files and environment variables that do.
type registriesFile struct {
	Hosts        []hostEntry `json:"hosts"`        // what is known of particular hosts
	AllowPrivate []string    `json:"allowPrivate"` // networks, such as 10.0.0.0/8, that may be connected to for any host although they are not public
}

// hostEntry is what is known of one host.
type hostEntry struct {
	Host      string `json:"host"`      // host[:port] as in the reference of an image: registry.corp.example:5000, ghcr.io, docker.io
	PlainHTTP bool   `json:"plainHTTP"` // it is spoken to without TLS; it may then have a private address, too
	Private   bool   `json:"private"`   // it may have a private or loopback address

	CA                string `json:"ca"`                // file of PEM certificates: the only authorities that its certificate is verified with
	ClientCertificate string `json:"clientCertificate"` // file, PEM: shown to it
	ClientKey         string `json:"clientKey"`         // file, PEM

	Username          string `json:"username"`          // user, with one of passwordFile and passwordEnv
	PasswordFile      string `json:"passwordFile"`      // file with the password; a line break at its end is none of it
	PasswordEnv       string `json:"passwordEnv"`       // environment variable with the password
	TokenFile         string `json:"tokenFile"`         // file with a bearer token, which is sent as it is
	TokenEnv          string `json:"tokenEnv"`          // environment variable with a bearer token
	IdentityTokenFile string `json:"identityTokenFile"` // file with an OAuth2 refresh token
	IdentityTokenEnv  string `json:"identityTokenEnv"`  // environment variable with an OAuth2 refresh token

	RequestsPerSecond json.RawMessage `json:"requestsPerSecond"` // 200 when absent; twice as many at once
}

func registriesSchema() schema {
	return schema{"allowPrivate": nil, "hosts": schema{
		"host": nil, "plainHTTP": nil, "private": nil, "ca": nil, "clientCertificate": nil, "clientKey": nil,
		"username": nil, "passwordFile": nil, "passwordEnv": nil, "tokenFile": nil, "tokenEnv": nil,
		"identityTokenFile": nil, "identityTokenEnv": nil, "requestsPerSecond": nil,
	}}
}

const maxRequestsPerSecond = 100000

// LoadHosts reads a registries file, YAML or JSON:
//
//	hosts:
//	  - host: registry.corp.example:5000   # as in the reference of an image
//	    private: true                      # it may have a private address
//	    ca: /etc/pki/corp.pem
//	    username: ci
//	    passwordFile: /run/secrets/registry
//	    requestsPerSecond: 20
//	allowPrivate: [10.0.0.0/8]
//
// The keys are those of registriesFile and hostEntry. An unknown key, one that stands twice, one without a value and a
// value of another type are errors that name file and key. name is for messages; read returns the content of a file
// that is referred to, and says what a relative path is relative to.
func LoadHosts(name string, data []byte, read func(path string) ([]byte, error)) ([]Host, []netip.Prefix, error) {
	var file registriesFile
	if err := readYAML(name, data, registriesSchema(), &file); err != nil {
		return nil, nil, err
	}
	var hosts []Host
	for i, e := range file.Hosts {
		h, err := e.host(read)
		if err != nil {
			return nil, nil, fmt.Errorf("reading %s: hosts[%d]%w", name, i, err)
		}
		for j, other := range hosts {
			if newPlace(other.Name, "") == newPlace(h.Name, "") {
				return nil, nil, fmt.Errorf("reading %s: hosts[%d].host: %s has an entry already, hosts[%d]", name, i, h.Name, j)
			}
		}
		hosts = append(hosts, h)
	}
	var networks []netip.Prefix
	for i, text := range file.AllowPrivate {
		prefix, err := netip.ParsePrefix(text)
		hint := "write a network such as 10.0.0.0/8"
		if addr, e := netip.ParseAddr(text); e == nil {
			hint = "write " + netip.PrefixFrom(addr, addr.BitLen()).String()
		} else if err == nil && prefix != prefix.Masked() {
			hint = "write " + prefix.Masked().String()
		}
		if err != nil || prefix != prefix.Masked() {
			return nil, nil, fmt.Errorf("reading %s: allowPrivate[%d]: %q is not a network; %s", name, i, stemma.Printable(text, 80), hint)
		}
		networks = append(networks, prefix)
	}
	return hosts, networks, nil
}

// host checks an entry and reads what it refers to. Its errors begin with the key.
func (e hostEntry) host(read func(path string) ([]byte, error)) (Host, error) {
	h := Host{PlainHTTP: e.PlainHTTP, Private: e.Private || e.PlainHTTP}
	var err error
	if h.Name, err = hostName(e.Host); err != nil {
		return h, err
	}
	if e.PlainHTTP && (e.CA != "" || e.ClientCertificate != "" || e.ClientKey != "") {
		return h, errors.New(".plainHTTP: without TLS there are no certificates; leave out plainHTTP, or ca, clientCertificate and clientKey")
	}
	if (e.ClientCertificate == "") != (e.ClientKey == "") {
		return h, errors.New(".clientCertificate: a certificate and its key belong together; give clientCertificate and clientKey")
	}
	for _, f := range []struct {
		key, path string
		to        *[]byte
	}{{"ca", e.CA, &h.CA}, {"clientCertificate", e.ClientCertificate, &h.ClientCertificate}, {"clientKey", e.ClientKey, &h.ClientKey}} {
		if f.path == "" {
			continue
		}
		if *f.to, err = read(f.path); err != nil {
			return h, fmt.Errorf(".%s: %w", f.key, err)
		}
		if !strings.Contains(string(*f.to), "-----BEGIN ") {
			return h, fmt.Errorf(".%s: %s is not PEM", f.key, stemma.Printable(f.path, 200))
		}
	}
	if err := e.credential(&h, read); err != nil {
		return h, err
	}
	if e.RequestsPerSecond != nil {
		rate, err := strconv.ParseFloat(string(e.RequestsPerSecond), 64)
		if err != nil || !(rate > 0 && rate <= maxRequestsPerSecond) {
			return h, fmt.Errorf(".requestsPerSecond: expected a number above 0, at most %d", maxRequestsPerSecond)
		}
		h.RequestsPerSecond = rate
	}
	return h, nil
}

// hostName is the name as it is connected to.
func hostName(text string) (string, error) {
	if text == "" {
		return "", errors.New(".host: missing; write host[:port] as in the reference of an image")
	}
	if strings.Contains(text, "://") || strings.ContainsAny(text, "/@?#%* \\\t\r\n") {
		return "", fmt.Errorf(".host: %q is not host[:port]; write it as in the reference of an image, without scheme and path", stemma.Printable(text, 80))
	}
	at := newPlace(text, "")
	if at.port != "" {
		if n, err := strconv.ParseUint(at.port, 10, 16); err != nil || n == 0 {
			return "", fmt.Errorf(".host: %q has no port of 1 to 65535", stemma.Printable(text, 80))
		}
	}
	if at.host == "" || strings.HasSuffix(text, ":") {
		return "", fmt.Errorf(".host: %q is not host[:port]", stemma.Printable(text, 80))
	}
	if at.authority() == hub {
		return "registry-1." + hub, nil
	}
	return at.authority(), nil
}

// credential reads who the host is spoken to as.
func (e hostEntry) credential(h *Host, read func(path string) ([]byte, error)) error {
	kinds := 0
	for _, s := range []struct {
		key, file, env string
		to             *string
	}{
		{"password", e.PasswordFile, e.PasswordEnv, &h.Password},
		{"token", e.TokenFile, e.TokenEnv, &h.Token},
		{"identityToken", e.IdentityTokenFile, e.IdentityTokenEnv, &h.IdentityToken},
	} {
		if s.file == "" && s.env == "" {
			continue
		}
		if kinds++; kinds > 1 {
			return fmt.Errorf(".%s: more than one of password, token and identityToken", cmpKey(s.key, s.file))
		}
		if s.file != "" && s.env != "" {
			return fmt.Errorf(".%sEnv: give %sFile or %sEnv, not both", s.key, s.key, s.key)
		}
		var err error
		if *s.to, err = secret(s.file, s.env, read); err != nil {
			return fmt.Errorf(".%s: %w", cmpKey(s.key, s.file), err)
		}
	}
	h.Username = e.Username
	if (h.Username == "") != (h.Password == "") {
		return errors.New(".username: a user and a password belong together; give username and passwordFile or passwordEnv")
	}
	if err := sendable(Credential{Username: h.Username, Password: h.Password, IdentityToken: h.IdentityToken, Token: h.Token}); err != nil {
		return fmt.Errorf(".username: %w", err)
	}
	return nil
}

func cmpKey(key, file string) string {
	if file != "" {
		return key + "File"
	}
	return key + "Env"
}

// secret is in a file or in a variable. Its errors do not quote it.
func secret(file, env string, read func(path string) ([]byte, error)) (string, error) {
	where, text := "the variable "+stemma.Printable(env, 80), ""
	if file != "" {
		where = stemma.Printable(file, 200)
		data, err := read(file)
		if err != nil {
			return "", err
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	} else {
		text = os.Getenv(env)
	}
	switch {
	case text == "":
		return "", errors.New(where + " is empty")
	case strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "", errors.New(where + " has more than one line, or a control character")
	}
	return text, nil
}

// schema is the keys that an object may have, with those of objects below. Of an array it is that of its elements.
type schema map[string]schema

// anything is the schema of a value that is judged elsewhere.
func anything() schema { return schema{"*": nil} }

// readYAML reads one document, YAML or JSON, strictly, into v.
func readYAML(name string, data []byte, s schema, v any) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("reading %s: %w", name, fmt.Errorf(format, args...))
	}
	if len(data) > maxDocument {
		return fail("larger than %d bytes", maxDocument)
	}
	if documents(data) > 1 {
		return fail("more than one document; what is after the first would be ignored")
	}
	converted, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return fail("%s", stemma.Printable(strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "yaml: unmarshal errors:", "")), " "), maxSaid))
	}
	tree, err := stemma.ParseJSON(converted)
	if err != nil {
		return fail("%w", err)
	}
	if !tree.IsObject() {
		return fail("it has no keys")
	}
	if err := checkKeys(tree, s); err != nil {
		return fail("%w", err)
	}
	if err := stemma.DecodeJSON(converted, v); err != nil {
		var at *stemma.JSONError
		if errors.As(err, &at) {
			if at.Problem == "expected a value" {
				at.Problem = "expected true or false" // it is of nothing else that the reader says so here
			}
			return fail("%s: %s", keyPath(at.Pointer), at.Problem)
		}
		return fail("%w", err)
	}
	return nil
}

// documents counts the documents of a YAML stream. A line that starts with --- begins one wherever it stands.
func documents(data []byte) int {
	n, open := 0, false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "---" || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "---\t"):
			n, open = n+1, true
		case !open && line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "%"):
			n, open = n+1, true
		}
	}
	return n
}

// checkKeys refuses keys that are not known, and keys without a value: they would be read as if they were not there.
func checkKeys(j *stemma.JSON, s schema) error {
	switch {
	case string(j.Raw()) == "null":
		return fmt.Errorf("%s: it has no value", keyPath(j.Pointer()))
	case j.IsArray():
		for _, e := range j.Elems() {
			if err := checkKeys(e, s); err != nil {
				return err
			}
		}
	case j.IsObject() && s != nil:
		if _, any := s["*"]; any {
			return nil
		}
		for _, m := range j.Elems() {
			below, ok := s[m.Name()]
			if !ok {
				return fmt.Errorf("%s: unknown key; %s", keyPath(m.Pointer()), s.suggest(m.Name()))
			}
			if err := checkKeys(m, below); err != nil {
				return err
			}
		}
	}
	return nil
}

// suggest says what may have been meant.
func (s schema) suggest(name string) string {
	if _, ok := s[name+"File"]; ok {
		return fmt.Sprintf("secrets do not stand here: %sFile names a file with it, %sEnv a variable", name, name)
	}
	known := make([]string, 0, len(s))
	for k := range s {
		known = append(known, k)
	}
	slices.Sort(known)
	for _, k := range known {
		if strings.EqualFold(k, name) || len(name) > 3 && strings.HasPrefix(k, name) {
			return "did you mean " + k + "?"
		}
	}
	if best := slices.MinFunc(known, func(a, b string) int { return distance(a, name) - distance(b, name) }); distance(best, name) <= 3 {
		return "did you mean " + best + "?"
	}
	return "known are " + strings.Join(known, ", ")
}

// distance is that of Levenshtein.
func distance(a, b string) int {
	if len(b) > 64 {
		return len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// keyPath writes an RFC 6901 pointer as people do: hosts[0].plainHTTP.
func keyPath(pointer string) string {
	var out strings.Builder
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch {
		case step != "" && strings.Trim(step, digits) == "":
			out.WriteString("[" + step + "]")
		case out.Len() > 0:
			out.WriteString("." + step)
		default:
			out.WriteString(step)
		}
	}
	if out.Len() == 0 {
		return "the document"
	}
	return stemma.Printable(out.String(), 200)
}
