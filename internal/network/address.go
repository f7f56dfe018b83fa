package network

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// standing is what an address, or a name that needs no resolver, is good for.
type standing struct {
	what  string // "a private address"; "" for a public one
	never bool   // nothing can allow it
}

func (s standing) public() bool { return s.what == "" }

// metadata are addresses of the services from which cloud machines have their credentials, where they are not
// link-local: those of AWS and Google over IPv6, Alibaba, Azure and Oracle.
func isMetadata(a netip.Addr) bool {
	switch a.String() {
	case "169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192":
		return true
	}
	return false
}

// private lists the ranges that are not public and may be meant all the same (RFC 6890 and its successors).
func private() map[string]string {
	return map[string]string{
		"10.0.0.0/8": "a private address", "172.16.0.0/12": "a private address", "192.168.0.0/16": "a private address",
		"100.64.0.0/10": "a carrier's private address", "127.0.0.0/8": "a loopback address", "::1/128": "a loopback address",
		"fc00::/7": "a private address", "fec0::/10": "a private address",
		"192.0.0.0/24": "an address with a special purpose", "198.18.0.0/15": "an address for benchmarks",
		"192.0.2.0/24": "an address for documentation", "198.51.100.0/24": "an address for documentation",
		"203.0.113.0/24": "an address for documentation", "2001:db8::/32": "an address for documentation", "3fff::/20": "an address for documentation",
		"192.88.99.0/24": "an address of a relay", "64:ff9b:1::/48": "an address of a private translator", "5f00::/16": "an address of a segment router",
		"100::/64": "an address that discards",
	}
}

// judge says what an address is good for. An IPv6 address that carries an IPv4 one is judged by that (CVE-2024-24790:
// ::ffff:127.0.0.1 was no loopback address to those who asked).
func judge(a netip.Addr) standing {
	a = a.WithZone("")
	worst := standing{}
	for _, inner := range carried(a) {
		s := judge(inner)
		if s.never {
			return s
		}
		if worst.public() {
			worst = s
		}
	}
	switch {
	case a.Is4In6(), !worst.public():
		return worst
	case isMetadata(a):
		return standing{"an address of a metadata service", true}
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return standing{"an unspecified address", true} // Linux connects to itself
	case a.IsLinkLocalUnicast():
		return standing{"a link-local address", true}
	case a.IsMulticast():
		return standing{"a multicast address", true}
	case a.Is4() && a.As4()[0] >= 240:
		return standing{"a reserved address", true}
	}
	for text, what := range private() {
		if netip.MustParsePrefix(text).Contains(a) {
			return standing{what: what}
		}
	}
	if a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a) && !netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
		return standing{"an address that is not global", true}
	}
	return standing{}
}

// carried are the IPv4 addresses that an IPv6 one stands for, or may: mapped, compatible, or of the translators NAT64,
// 6to4 and Teredo.
func carried(a netip.Addr) []netip.Addr {
	if !a.Is6() || a == netip.IPv6Unspecified() || a == netip.IPv6Loopback() { // IsLoopback means ::ffff:127.0.0.1, too
		return nil
	}
	b := a.As16()
	in := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(a) }
	v4 := func(at ...int) netip.Addr { return netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}) }
	switch {
	case a.Is4In6():
		return []netip.Addr{a.Unmap()}
	case in("::/96"), in("64:ff9b::/96"):
		return []netip.Addr{v4(12, 13, 14, 15)}
	case in("2002::/16"):
		return []netip.Addr{v4(2, 3, 4, 5)}
	case in("2001::/32"): // the client in disguise, and the server (RFC 4380 section 4)
		return []netip.Addr{netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), v4(4, 5, 6, 7)}
	case in("64:ff9b:1::/48"): // where it stands only the network knows (RFC 6052 section 2.2), and zeros around it are none
		all := []netip.Addr{v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12), v4(12, 13, 14, 15)}
		return slices.DeleteFunc(all, func(a netip.Addr) bool { return a.As4()[0] == 0 })
	}
	return nil
}

// judgeName says what a host is good for that needs no resolver, or that every resolver answers alike. A name that it
// does not know is public as far as can be said here; what it resolves to is judged when it is connected to.
func judgeName(host string) standing {
	host = strings.ToLower(strings.TrimRight(host, "."))
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r > '~' || r <= ' ' }) {
		// Go's client makes digits of "①②⑦" where nobody looks any more.
		return standing{"not a host name in ASCII", true}
	}
	addresses, number := literals(host)
	worst := standing{}
	for _, a := range addresses {
		if s := judge(a); s.never || worst.public() {
			worst = s
		}
		if worst.never {
			break
		}
	}
	if len(addresses) > 0 {
		return worst
	}
	if number {
		// No top-level domain is a number. What some resolver makes of 256.1.1.1 or 127.0.0.1.1, nobody knows.
		return standing{"neither an address nor a name", true}
	}
	under := func(name string) bool { return host == name || strings.HasSuffix(host, "."+name) }
	switch {
	case under("localhost") || under("localhost.localdomain") || under("ip6-localhost") || under("ip6-loopback"):
		return standing{what: "this machine"}
	case under("metadata.google.internal") || under("metadata.goog") || under("metadata") || under("instance-data") || under("instance-data.ec2.internal"):
		return standing{"the name of a metadata service", true}
	}
	return standing{}
}

// literals reads an address in every spelling that some resolver takes for one: as RFC 4291 and RFC 3986 have them, and
// as inet_aton does: 2852039166, 0xA9FEA9FE, 0251.0376.0251.0376, 127.1. Where readers differ (010.0.0.1 is 8.0.0.1 to
// most and 10.0.0.1 to some, CVE-2021-29923) all that they read is returned. number: it can be nothing but an address.
func literals(host string) (addresses []netip.Addr, number bool) {
	host = strings.TrimRight(strings.ToLower(host), ".")
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.WithZone("")}, true
	}
	parts := strings.Split(host, ".")
	last := parts[len(parts)-1]
	hex, isHex := strings.CutPrefix(last, "0x")
	if host == "" || strings.Trim(last, digits) != "" && (!isHex || strings.Trim(hex, digits+"abcdef") != "") {
		return nil, false
	}
	for _, octal := range []bool{true, false} {
		if a, ok := aton(parts, octal); ok && !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
	}
	return addresses, true
}

// aton is inet_aton: the last part fills the bytes that are left.
func aton(parts []string, octal bool) (netip.Addr, bool) {
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		base := 10
		if hex, ok := strings.CutPrefix(part, "0x"); ok {
			part, base = "0"+hex, 16 // 0x alone is 0 to some
		} else if octal && strings.HasPrefix(part, "0") {
			base = 8
		}
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, err := strconv.ParseUint(part, base, bits)
		if err != nil {
			return netip.Addr{}, false
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}
