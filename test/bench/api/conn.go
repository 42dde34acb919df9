// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// get sends a request that is not measured.
func (s *server) get(ctx context.Context, path string) (status int, body []byte, err error) {
	return s.send(ctx, http.MethodGet, path, "")
}

// send sends a request that is not measured, with a JSON body if it is not empty.
func (s *server) send(ctx context.Context, method, path, content string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if content != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// request is what goes over the wire for a GET. It asks for no compression, as it is bytes that are counted.
func (s *server) request(path string) []byte {
	address, err := url.Parse(s.base)
	if err != nil {
		panic(err) // newServer has read it
	}
	return []byte("GET " + address.Path + path + " HTTP/1.1\r\nHost: " + address.Host +
		"\r\nAuthorization: Bearer " + s.token + "\r\nAccept: application/json\r\n\r\n")
}

func (s *server) dial(ctx context.Context) (net.Conn, error) {
	address, err := url.Parse(s.base)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	port := address.Port()
	if address.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		return (&tls.Dialer{NetDialer: dialer}).DialContext(ctx, "tcp", net.JoinHostPort(address.Hostname(), port))
	}
	if port == "" {
		port = "80"
	}
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(address.Hostname(), port))
}

// conn is a keep-alive connection of HTTP/1.1 for one request after the other. The driver shares its cores with the
// server, so it does as little as it can: no goroutines, no header maps, bodies are counted and not kept.
type conn struct {
	net.Conn
	r *bufio.Reader
}

const readBuffer = 64 << 10

func (s *server) newConn(ctx context.Context) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, readBuffer)}, nil
}

// errClosing says that the server closes a connection that was to be kept.
var errClosing = errors.New("the server closes the connection after its answer")

// do sends a request and reads the answer: its status, and the bytes of its body.
func (c *conn) do(request []byte) (status int, size int64, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, 0, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	const statusAt, statusEnd = len("HTTP/1.1 "), len("HTTP/1.1 200")
	if len(line) < statusEnd {
		return 0, 0, fmt.Errorf("no HTTP answer: %q", line)
	}
	if status, err = strconv.Atoi(string(line[statusAt:statusEnd])); err != nil {
		return 0, 0, fmt.Errorf("no HTTP answer: %q", line)
	}
	length, chunked, closing, err := c.header()
	switch {
	case err != nil:
	case chunked:
		size, err = c.chunks()
	case length < 0:
		err = errors.New("the answer has no length")
	default:
		size, err = c.discard(length)
	}
	if err == nil && closing {
		err = errClosing
	}
	return status, size, err
}

// header reads the fields that say where the answer ends.
func (c *conn) header() (length int64, chunked, closing bool, err error) {
	length = -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, false, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, chunked, closing, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return 0, false, false, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			closing = bytes.EqualFold(value, []byte("close"))
		}
	}
}

func (c *conn) chunks() (size int64, err error) {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return size, err
		}
		text, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		n, err := strconv.ParseInt(string(text), 16, 64)
		if err != nil {
			return size, fmt.Errorf("size of a chunk: %w", err)
		}
		// Each chunk, and the trailer, which has no fields, ends with an empty line.
		const lineEnd = 2
		if _, err := c.discard(n + lineEnd); err != nil || n == 0 {
			return size, err
		}
		size += n
	}
}

func (c *conn) discard(n int64) (int64, error) {
	done, err := c.r.Discard(int(n))
	return int64(done), err
}
