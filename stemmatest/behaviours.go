package stemmatest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// Hostilities is one of each behaviour, in the order of the table of threats, with the parameters that it is met with
// in practice. Other is another manifest in the same repository.
func Hostilities(other stemma.Digest) []Behaviour {
	const inner = "http://169.254.169.254"
	list := []Behaviour{
		MoveTag(other), SwapManifest(other), LieAboutSize(1), LayersAndManifests(), LieAboutType(),
		EvidenceOnPage(2), EvidenceOnPage(16), LoopPages(), EndlessPages(), PagesAt("https://elsewhere.test"), PagesAt(inner),
		OnlyFallback(), Withhold(), Hang().To(AskReferrers),
		EmptyArtifactType(), EvidenceOf(other), Redirect(inner), Redirect("https://elsewhere.test"),
		Realm("https://elsewhere.test/token"), Realm(inner + "/token"), UploadAt("https://elsewhere.test"),
		Huge(200<<20).To(AskManifest, AskTag), Huge(1 << 30).To(AskBlob), LieAboutLength(1), LieAboutLength(-1), Endless(),
		Bomb("gzip"), Bomb("zstd"), Drip(time.Second), Stall(), Flood(10_000), RollBack(other), Busy("1"), Cut(-1), Cut(10),
	}
	for _, status := range []int{400, 401, 403, 404, 406, 429, 500, 503} {
		list = append(list, Answer(status), Answer(status).To(AskReferrers))
	}
	return list
}

// MoveTag (F01) has a tag name another manifest from the second request on: what is verified is not what is run
// (CVE-2022-47633).
func MoveTag(other stemma.Digest) Behaviour {
	b := RollBack(other).After(1)
	b.Row, b.Name = "F01", "the tag moves after the first request"
	return b
}

// SwapManifest (F02) answers a request by digest with another manifest, under the digest that was asked for
// (CVE-2023-33959).
func SwapManifest(other stemma.Digest) Behaviour {
	return Behaviour{Row: "F02", Name: "another manifest under the digest", asks: []Ask{AskManifest}, serve: func(x *exchange) {
		a := x.honest(x.instead("manifests", string(other)))
		a.header.Set("Docker-Content-Digest", x.reference)
		x.send(a)
	}}
}

// Tamper (F02) changes the bytes of one manifest or blob, such as a child of an index, under the same digest.
func Tamper(d stemma.Digest, change func([]byte) []byte) Behaviour {
	return Behaviour{Row: "F02", Name: "changed bytes under the digest", asks: []Ask{AskManifest, AskBlob}, about: string(d), serve: func(x *exchange) {
		a := x.honest(x.r)
		if a.status == http.StatusOK {
			a.body = change(bytes.Clone(a.body))
		}
		x.send(a)
	}}
}

// LieAboutSize (F03) lists referrers with other sizes than they have.
func LieAboutSize(by int64) Behaviour {
	return listing("F03", "sizes that are wrong", func(d *v1.Descriptor) { d.Size += by })
}

// LayersAndManifests (F04) serves under a tag a manifest that is an index as well, and under its digest (GHSA-qq97).
func LayersAndManifests() Behaviour {
	return Behaviour{Row: "F04", Name: "layers and manifests", asks: []Ask{AskTag}, serve: func(x *exchange) {
		a := x.honest(x.r)
		if rest, ok := bytes.CutPrefix(a.body, []byte("{")); ok && a.status == http.StatusOK {
			part := canonical([]v1.Descriptor{describe(v1.MediaTypeEmptyJSON, []byte("{}"))})
			half := fmt.Appendf(nil, `{"manifests":%s,`, part)
			if bytes.Contains(rest, []byte(`"manifests":`)) {
				half = fmt.Appendf(nil, `{"config":%s,"layers":%s,`, part[1:len(part)-1], part)
			}
			a.body = append(half, rest...)
			x.invent(&a)
		}
		x.send(a)
	}}
}

// LieAboutType (F04) says in the header that an index is a manifest, and the reverse (GHSA-5j5w).
func LieAboutType() Behaviour {
	other := map[string]string{
		v1.MediaTypeImageIndex: v1.MediaTypeImageManifest, v1.MediaTypeImageManifest: v1.MediaTypeImageIndex,
		MediaTypeDockerIndex: MediaTypeDockerManifest, MediaTypeDockerManifest: MediaTypeDockerIndex,
	}
	return Behaviour{Row: "F04", Name: "another type in the header", asks: []Ask{AskTag, AskManifest}, serve: func(x *exchange) {
		a := x.honest(x.r)
		if is, ok := other[a.header.Get("Content-Type")]; ok {
			a.header.Set("Content-Type", is)
		}
		x.send(a)
	}}
}

// EvidenceOnPage (F05) lists nothing on the first pages, and everything on page n.
func EvidenceOnPage(n int) Behaviour {
	return pages(fmt.Sprintf("evidence on page %d", n), func(x *exchange, page int) {
		if page >= n {
			x.next.ServeHTTP(x.w, x.r)
			return
		}
		x.link(fmt.Sprintf("%s?page=%d", x.r.URL.Path, page+1))
		x.sendList(whole{header: http.Header{}}, nil)
	})
}

// LoopPages (F05) lists everything on the first page, and links on from it to a page that links back.
func LoopPages() Behaviour {
	return pages("pages in a circle", func(x *exchange, page int) {
		x.link(fmt.Sprintf("%s?page=%d", x.r.URL.Path, 3-min(page, 2)))
		x.firstPage(page)
	})
}

// EndlessPages (F05) lists everything on the first page, which is followed by empty ones for ever.
func EndlessPages() Behaviour {
	return pages("pages without end", func(x *exchange, page int) {
		x.link(fmt.Sprintf("%s?page=%d", x.r.URL.Path, page+1))
		x.firstPage(page)
	})
}

// PagesAt (F05) lists everything on the first page, and links on to another host or by another scheme
// ("https://evil.test", "http://ghcr.io", "file://"), which nobody is to follow (oras GHSA-298f).
func PagesAt(base string) Behaviour {
	return pages("pages at "+base, func(x *exchange, page int) {
		x.link(fmt.Sprintf("%s%s?page=%d", base, x.r.URL.Path, page+1))
		x.firstPage(page)
	})
}

func pages(name string, serve func(x *exchange, page int)) Behaviour {
	return Behaviour{Row: "F05", Name: name, asks: []Ask{AskReferrers}, serve: func(x *exchange) {
		page, err := strconv.Atoi(x.r.URL.Query().Get("page"))
		if err != nil || page < 1 {
			page = 1
		}
		serve(x, page)
	}}
}

// firstPage lists everything, or nothing if the page is another one.
func (x *exchange) firstPage(page int) {
	if page > 1 {
		x.sendList(whole{header: http.Header{}}, nil)
		return
	}
	if a, list, ok := x.list(); ok {
		a.header.Del("Link")
		x.sendList(a, list)
	}
}

// OnlyFallback (F06) has a referrers API that lists nothing, and all that it would list under the fallback tag
// (kyverno#16678).
func OnlyFallback() Behaviour {
	return Behaviour{Row: "F06", Name: "an empty list, and evidence under the fallback tag", asks: []Ask{AskReferrers, AskFallback}, serve: func(x *exchange) {
		if x.ask == AskReferrers {
			x.sendList(whole{header: http.Header{}}, nil)
			return
		}
		a := x.honest(x.instead("referrers", string(x.about())))
		var index v1.Index
		if a.status == http.StatusOK && stemma.DecodeJSON(a.body, &index) == nil && len(index.Manifests) > 0 {
			a.header.Del("Link")
			x.sendList(a, index.Manifests)
			return
		}
		x.next.ServeHTTP(x.w, x.r)
	}}
}

// Withhold (F07) lists no referrers and has none of the tags for evidence. What the digest of an image covers is still
// there: without it there is no image.
func Withhold() Behaviour {
	return Behaviour{Row: "F07", Name: "all evidence is withheld", asks: []Ask{AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		if x.ask == AskReferrers {
			x.sendList(whole{header: http.Header{}}, nil)
			return
		}
		refuse(x.w, http.StatusNotFound, "MANIFEST_UNKNOWN", "no such manifest")
	}}
}

// Answer (F08 to referrers, F20 to anything) answers with a status.
func Answer(status int) Behaviour {
	return Behaviour{Row: "F08, F20", Name: fmt.Sprintf("answers %d", status), serve: func(x *exchange) {
		refuse(x.w, status, "UNKNOWN", "this registry answers nothing else")
	}}
}

// Hang (F08, F16) never answers.
func Hang() Behaviour {
	return Behaviour{Row: "F08, F16", Name: "never answers", Forever: true, serve: func(x *exchange) { <-x.r.Context().Done() }}
}

// EmptyArtifactType (F09) lists referrers under the type of an empty config, as registries do that read it there
// (aicr#1957).
func EmptyArtifactType() Behaviour {
	return listing("F09", "the type of an empty config", func(d *v1.Descriptor) { d.ArtifactType = "application/vnd.oci.empty.v1+json" })
}

// EvidenceOf (F10) answers for all evidence about any digest with that about another one, which is genuine, and whose
// subject says so.
func EvidenceOf(other stemma.Digest) Behaviour {
	return Behaviour{Row: "F10", Name: "evidence about another digest", asks: []Ask{AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		reference := string(other)
		if x.ask != AskReferrers {
			reference = CosignTag(other, x.reference[len(CosignTag(x.about(), "")):])
		}
		x.next.ServeHTTP(x.w, x.instead(x.kind, reference))
	}}
}

// Redirect (F12, F13) redirects to another host, an inner address or another scheme: "https://evil.test",
// "http://169.254.169.254", "http://ghcr.io". Credentials must stay behind (oras CVEs), and so must the client.
func Redirect(base string) Behaviour {
	return Behaviour{Row: "F12, F13", Name: "redirects to " + base, serve: func(x *exchange) {
		x.w.Header().Set("Location", base+x.r.URL.RequestURI())
		x.w.WriteHeader(http.StatusTemporaryRedirect)
	}}
}

// Realm (F12, F13) answers 401 and names a token service, at another host or at an inner address, that is to be told the
// credentials (CVE-2025-27403). Who brings the token of Tokens is let in. The path /token of the registry itself answers
// as Tokens.
func Realm(realm string) Behaviour {
	return Behaviour{Row: "F12, F13", Name: "a token service at " + realm, serve: func(x *exchange) {
		switch {
		case x.r.URL.Path == "/token":
			Tokens().ServeHTTP(x.w, x.r)
		case x.r.Header.Get("Authorization") == "Bearer "+tokenOfAnybody:
			x.honestly()
		default:
			x.w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="registry",scope="repository:%s:pull"`, realm, x.repository))
			refuse(x.w, http.StatusUnauthorized, "UNAUTHORIZED", "a token is needed")
		}
	}}
}

const tokenOfAnybody = "token-of-anybody"

// Tokens is a token service that gives everybody the same token.
func Tokens() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, "application/json", "", canonical(object{"token": tokenOfAnybody, "access_token": tokenOfAnybody}))
	})
}

// UploadAt (F12, F13) has the content of blobs sent to another host.
func UploadAt(base string) Behaviour {
	return Behaviour{Row: "F12, F13", Name: "uploads to " + base, asks: []Ask{AskUpload}, serve: func(x *exchange) {
		a := x.honest(x.r)
		if location := a.header.Get("Location"); location != "" {
			a.header.Set("Location", base+location)
		}
		x.send(a)
	}}
}

// Huge (F14) lets every body be followed by spaces, up to a length that the header tells: 200 << 20 of a manifest,
// 1 << 30 of a blob (CVE-2024-29902).
func Huge(length int64) Behaviour {
	return Behaviour{Row: "F14", Name: fmt.Sprintf("bodies of %d bytes", length), asks: []Ask{AskManifest, AskTag, AskBlob, AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		a := x.honest(x.r)
		if x.begin(a, max(length, int64(len(a.body)))) {
			_, _ = x.w.Write(a.body) // what follows notices that the client has gone away
			x.fill(' ', max(0, length-int64(len(a.body))))
		}
	}}
}

// Endless (F14) lets every body be followed by spaces that do not end.
func Endless() Behaviour {
	return Behaviour{Row: "F14", Name: "bodies without end", Forever: true, asks: []Ask{AskManifest, AskTag, AskBlob, AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		a := x.honest(x.r)
		if x.begin(a, -1) {
			_, _ = x.w.Write(a.body) // as above
			x.fill(' ', -1)
		}
	}}
}

// LieAboutLength (F14) tells a Content-Length that is more or less than what is sent. Over a socket the server of
// net/http sends no more than it has told, and cuts the connection if it is less.
func LieAboutLength(by int64) Behaviour {
	return Behaviour{Row: "F14", Name: fmt.Sprintf("lengths that are %+d", by), asks: []Ask{AskManifest, AskTag, AskBlob, AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		a := x.honest(x.r)
		told := max(0, int64(len(a.body))+by)
		if !x.begin(a, told) {
			return
		}
		first := min(told, int64(len(a.body)))
		_, _ = x.w.Write(a.body[:first])
		_, _ = x.w.Write(a.body[first:]) // a server may know better, see above
	}}
}

const bombSize = 1 << 30

// Bomb (F15) answers with 1 GiB of zeros in a few bytes, packed by "gzip" or "zstd" as the header tells, whatever the
// client accepts.
func Bomb(encoding string) Behaviour {
	return Behaviour{Row: "F15", Name: "a bomb packed by " + encoding, asks: []Ask{AskManifest, AskBlob, AskReferrers}, serve: func(x *exchange) {
		a := x.honest(x.r)
		a.header.Set("Content-Encoding", encoding)
		if !x.begin(a, -1) {
			return
		}
		head, part, parts := zeros(encoding)
		_, _ = x.w.Write(head)
		for i := range parts {
			last := slices.Clone(part)
			if encoding == "zstd" && i == parts-1 {
				last[0] |= 1 // the last block of the frame
			}
			if _, err := x.w.Write(last); err != nil {
				return // the client has had enough
			}
		}
	}}
}

// zeros is bombSize bytes of zeros, packed, as a head and a part that is repeated.
func zeros(encoding string) (head, part []byte, parts int) {
	if encoding == "zstd" {
		// RFC 8878: a frame with a window of 128 KiB, and blocks that say of one byte how often it is repeated.
		const window = 128 << 10
		block := uint32(1)<<1 | window<<3
		return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3}, []byte{byte(block), byte(block >> 8), byte(block >> 16), 0}, bombSize / window
	}
	// RFC 1952: members that follow each other unpack to what follows each other in them.
	const member = 1 << 20
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, member))
	_ = z.Close() // a buffer takes everything
	return nil, b.Bytes(), bombSize / member
}

// Drip (F16) sends bodies a byte at a time, after as long a pause each.
func Drip(pause time.Duration) Behaviour {
	return Behaviour{Row: "F16", Name: "a byte at a time", Forever: true, asks: []Ask{AskManifest, AskTag, AskBlob, AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		a := x.honest(x.r)
		if !x.begin(a, int64(len(a.body))) {
			return
		}
		for i := range a.body {
			if !x.wait(pause) {
				return
			}
			if _, err := x.w.Write(a.body[i : i+1]); err != nil {
				return // the client has had enough
			}
			x.flush()
		}
	}}
}

// Stall (F16) sends the header, and nothing more.
func Stall() Behaviour {
	return Behaviour{Row: "F16", Name: "stalls after the header", Forever: true, asks: []Ask{AskManifest, AskTag, AskBlob, AskReferrers, AskFallback, AskCosign}, serve: func(x *exchange) {
		a := x.honest(x.r)
		x.begin(a, int64(len(a.body)))
		<-x.r.Context().Done()
	}}
}

// Flood (F17) lists so many referrers of junk around the true ones, half of them before. They exist, are about the
// image, and are declared as being of the types in turn, or as bundles (CVE-2023-33958, CVE-2023-42814).
func Flood(n int, types ...string) Behaviour {
	if len(types) == 0 {
		types = []string{MediaTypeV03}
	}
	return Behaviour{Row: "F17", Name: fmt.Sprintf("%d referrers of junk", n), asks: []Ask{AskReferrers}, serve: func(x *exchange) {
		a, list, ok := x.list()
		if !ok {
			return
		}
		junk := make([]v1.Descriptor, n)
		for i := range junk {
			junk[i] = x.junk(i, types[i%len(types)])
		}
		x.sendList(a, slices.Concat(junk[:n/2], list, junk[n/2:]))
	}}
}

// junk invents a referrer, which is made when it is asked for.
func (x *exchange) junk(i int, mediaType string) v1.Descriptor {
	blob := fmt.Appendf(nil, `{"junk":%d,"about":"%s"}`, i, x.about())
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(x.about())}
	layer := describe(mediaType, blob)
	manifest := func() []byte {
		return canonical(object{
			"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "artifactType": mediaType, "subject": subject,
			"config": layer, "layers": []v1.Descriptor{layer},
		})
	}
	d := describe(v1.MediaTypeImageManifest, manifest())
	x.deed.remember(stemma.Digest(d.Digest), func() whole {
		return whole{http.StatusOK, http.Header{"Content-Type": {d.MediaType}, "Docker-Content-Digest": {string(d.Digest)}}, manifest()}
	})
	x.deed.remember(stemma.Digest(layer.Digest), func() whole {
		return whole{http.StatusOK, http.Header{"Content-Type": {"application/octet-stream"}}, blob}
	})
	d.ArtifactType = mediaType
	return d
}

// RollBack (F18) has every tag name an older manifest, whose evidence is as genuine as it is old (CVE-2024-23332).
func RollBack(old stemma.Digest) Behaviour {
	return Behaviour{Row: "F18", Name: "an older image under the tag", asks: []Ask{AskTag}, serve: func(x *exchange) {
		x.next.ServeHTTP(x.w, x.instead("manifests", string(old)))
	}}
}

// Busy (F20) answers 429, and when to come again: seconds, or a date. Times bounds how often.
func Busy(retryAfter string) Behaviour {
	return Behaviour{Row: "F20", Name: "too many requests", serve: func(x *exchange) {
		x.w.Header().Set("Retry-After", retryAfter)
		refuse(x.w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
	}}
}

// Cut (F20) cuts the connection after so many bytes of a body, or without any answer if that is negative.
func Cut(after int) Behaviour {
	return Behaviour{Row: "F20", Name: fmt.Sprintf("the connection is cut after %d bytes", after), serve: func(x *exchange) {
		if after >= 0 {
			a := x.honest(x.r)
			x.begin(a, int64(len(a.body)))
			_, _ = x.w.Write(a.body[:min(after, len(a.body))])
			x.flush()
		}
		panic(http.ErrAbortHandler)
	}}
}

// listing changes what is listed, by the referrers API or under the fallback tag.
func listing(row, name string, change func(*v1.Descriptor)) Behaviour {
	return Behaviour{Row: row, Name: name, asks: []Ask{AskReferrers, AskFallback}, serve: func(x *exchange) {
		a, list, ok := x.list()
		if !ok {
			return
		}
		for i := range list {
			change(&list[i])
		}
		x.sendList(a, list)
	}}
}
