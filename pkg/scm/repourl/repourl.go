// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package repourl tells if two addresses are those of one repository. People write the address of a
// repository in many ways: for HTTPS, for SSH, in the short form of scp, with or without ".git", in
// upper and lower case; servers have ports, and paths of their own below which all repositories are.
//
// A Key is what all ways to write one address have in common. Where a server shows one repository at
// addresses that differ in more than that, as Bitbucket Server does, the event of the server names all
// of them: Hosted gives their keys.
package repourl

import (
	"net"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// MaxURL bounds an address, in bytes: no longer one has a key.
const MaxURL = 2048

// Key stands for a repository: host, port if it is not the one of the protocol, and path, all in lower
// case. The empty key stands for none.
type Key string

// defaultPorts are left out of keys. Addresses for HTTPS and SSH have one key where both use the ports
// of their protocols, which is how the large public servers are addressed.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ssh": "22", "git": "9418"}

// schemes maps the names of protocols to those of defaultPorts.
var schemes = map[string]string{"http": "http", "https": "https", "ssh": "ssh", "git+ssh": "ssh", "ssh+git": "ssh", "git": "git", "git+https": "https"}

// Of gives the key of an address; empty if it is the address of nothing.
func Of(address string) Key {
	address = strings.TrimSpace(address)
	if address == "" || len(address) > MaxURL || strings.ContainsAny(address, "\x00\r\n\\") {
		return ""
	}
	if host, name, ok := scp(address); ok {
		return join(host, "", name)
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if strings.EqualFold(u.Scheme, "file") {
		// The case of a path on a disk counts, and it has no host.
		if p := path.Clean("/" + u.Path); u.Host == "" && p != "/" {
			return Key("file:" + p)
		}
		return ""
	}
	scheme, known := schemes[strings.ToLower(u.Scheme)]
	if !known || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	if port == defaultPorts[scheme] {
		port = ""
	}
	return join(u.Hostname(), port, u.Path)
}

// scp splits an address in the short form of scp, [user@]host:path. What has a scheme is none, and so is
// what has a slash before the colon: that is a path on a disk.
func scp(address string) (host, name string, ok bool) {
	if strings.Contains(address, "://") {
		return "", "", false
	}
	if at := strings.LastIndexByte(before(address, '/'), '@'); at >= 0 {
		address = address[at+1:]
	}
	if rest, bracketed := strings.CutPrefix(address, "["); bracketed {
		if host, name, ok = strings.Cut(rest, "]:"); !ok {
			return "", "", false
		}
	} else if host, name, ok = strings.Cut(address, ":"); !ok {
		return "", "", false
	}
	if host == "" || name == "" || strings.Contains(host, "/") || strings.ContainsAny(host, " \t") {
		return "", "", false
	}
	// The path of a URL is decoded, that of scp is written as it is.
	return host, name, true
}

func before(text string, sep byte) string {
	if i := strings.IndexByte(text, sep); i >= 0 {
		return text[:i]
	}
	return text
}

// join makes a key.
func join(host, port, name string) Key {
	host = hostOf(host)
	name = pathOf(name)
	if host == "" || name == "" {
		return ""
	}
	if port != "" {
		return Key(net.JoinHostPort(host, port) + "/" + name)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return Key(host + "/" + name)
}

// hostOf writes a host in one way: lower case, and the form that name servers know of names with letters
// of other scripts.
func hostOf(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host // names of clusters may have underscores, which IDNA refuses
}

// pathOf writes a path in one way. All servers that the keys are for take names in any case.
func pathOf(name string) string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if len(name) > len(".git") && strings.EqualFold(name[len(name)-len(".git"):], ".git") {
		name = name[:len(name)-len(".git")]
	}
	return norm.NFC.String(strings.ToLower(strings.Trim(name, "/")))
}

// Host gives the host of an address as keys have it, with the port if it is not the one of the protocol;
// empty if there is none.
func Host(address string) string {
	key := Of(strings.TrimRight(strings.TrimSpace(address), "/") + "/x")
	host, _, _ := strings.Cut(string(key), "/")
	return host
}

// Hosted gives the keys under which a server shows a repository: server is the address of its pages
// without what is below, such as https://git.example.org or https://example.org/bitbucket.
func Hosted(server string, names ...string) []Key {
	server = strings.TrimRight(strings.TrimSpace(server), "/")
	var keys []Key
	for _, name := range names {
		if key := Of(server + "/" + escape(strings.Trim(name, "/"))); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// escape makes a path part of a URL.
func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// Named is the key of a repository on a server that is known by a name of Jenkins' configuration instead
// of an address. It is found by the name and the path.
func Named(server, name string) Key {
	if name = pathOf(name); name == "" {
		return ""
	}
	return Key("server:" + url.PathEscape(server) + "/" + name)
}
