package network

import (
	"net/netip"
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
// link-local: those of AWS over IPv6, Alibaba, Azure and Oracle.
func isMetadata(a netip.Addr) bool {
	switch a.String() {
	case "169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192":
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
	if inner, ok := carried(a); ok {
		return judge(inner)
	}
	switch {
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

// carried is the IPv4 address in an IPv6 one: mapped, compatible, or of the translators NAT64, 6to4 and Teredo.
func carried(a netip.Addr) (netip.Addr, bool) {
	if a.Is4In6() {
		return a.Unmap(), true
	}
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	in := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(a) }
	switch {
	case in("::/96") && !a.IsUnspecified() && !a.IsLoopback(), in("64:ff9b::/96"):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case in("2002::/16"):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case in("2001::/32"):
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return a, false
}

// judgeName says what a host is good for that needs no resolver, or that every resolver answers alike. A name that it
// does not know is public as far as can be said here; what it resolves to is judged when it is connected to.
func judgeName(host string) standing {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, ok := literal(host); ok {
		return judge(a)
	}
	under := func(name string) bool { return host == name || strings.HasSuffix(host, "."+name) }
	switch {
	case host == "" || strings.ContainsFunc(host, func(r rune) bool { return r > '~' || r <= ' ' }):
		return standing{"not a host name in ASCII", true}
	case under("localhost") || under("localhost.localdomain") || under("ip6-localhost") || under("ip6-loopback"):
		return standing{what: "this machine"}
	case under("metadata.google.internal") || under("metadata.goog") || under("metadata") || under("instance-data") || under("instance-data.ec2.internal"):
		return standing{"the name of a metadata service", true}
	}
	return standing{}
}

// literal reads an address in every spelling that some resolver takes for one: as RFC 4291 and RFC 3986 have them, and as
// inet_aton does: 2852039166, 0xA9FEA9FE, 0251.0376.0251.0376, 127.1.
func literal(host string) (netip.Addr, bool) {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.WithZone(""), true
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		if part == "" || strings.Trim(part, "0123456789abcdefx") != "" || part[0] < '0' || part[0] > '9' {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 0, 64)
		if err != nil {
			// 08 and 09 are no octal numbers; some read them as decimal ones.
			if n, err = strconv.ParseUint(part, 10, 64); err != nil {
				return netip.Addr{}, false
			}
		}
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts)) // the last part fills what is left
		}
		if n >= 1<<bits {
			return netip.Addr{}, false
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}
