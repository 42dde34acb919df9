// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"
)

const (
	// maxAttempts is how often a commit is made again because others were quicker.
	maxAttempts = 30
	// maxPause bounds the wait between two attempts; it is random, so that replicas do not meet again and again.
	maxPause = time.Second
	// maxMessage bounds the message of a commit, in bytes.
	maxMessage = 64 << 10
	// maxChanges bounds the files of a commit.
	maxChanges = 2000
)

// Author is who a commit is by.
type Author struct{ Name, Email string }

// Put is a file to be written.
type Put struct {
	// Path is where.
	Path string
	// Content is what.
	Content []byte
}

// Change is a commit to be made.
type Change struct {
	// Branch is the name of the branch. In a repository without any it is made.
	Branch string
	// Base is the commit that the author saw, in 40 hexadecimal digits: if one of the files has changed since,
	// the change is a conflict. Empty: the branch as it is.
	Base string
	// Puts are written. One that exists keeps its executable bit.
	Puts []Put
	// Overwrite lets Puts replace files; else one that exists is a conflict.
	Overwrite bool
	// Deletes are paths of files and folders.
	Deletes []string
	// Message is the commit's.
	Message string
	// Author is who it is by.
	Author Author
}

// check cleans the paths of a change and bounds it.
func (r *Repository) check(c *Change) error {
	if _, err := checkBranch(c.Branch); err != nil {
		return err
	}
	switch n := len(c.Puts) + len(c.Deletes); {
	case strings.TrimSpace(c.Message) == "":
		return failure(ErrInvalid, "the commit has no message")
	case len(c.Message) > maxMessage:
		return failure(ErrInvalid, "the message of the commit is longer than %s", size(maxMessage))
	case n == 0:
		return failure(ErrInvalid, "no file is named")
	case n > maxChanges:
		return failure(ErrTooLarge, "the commit has %d files; %d are possible", n, maxChanges)
	case c.Base != "" && !plumbing.IsHash(c.Base):
		return failure(ErrInvalid, "a commit is named by its 40 hexadecimal digits")
	}
	var total int64
	seen := map[string]bool{}
	clean := func(name *string) (err error) {
		if *name, err = CleanPath(strings.TrimSuffix(*name, "/")); err != nil {
			return err
		}
		if seen[*name] {
			return failure(ErrInvalid, "%s is named twice", *name)
		}
		seen[*name] = true
		return nil
	}
	for i := range c.Puts {
		if err := clean(&c.Puts[i].Path); err != nil {
			return err
		}
		n := int64(len(c.Puts[i].Content))
		if n > r.cache.opts.MaxFileBytes {
			return failure(ErrTooLarge, "%s has %s; %s are possible", c.Puts[i].Path, size(n), size(r.cache.opts.MaxFileBytes))
		}
		total += n
	}
	if total > r.cache.opts.MaxCommitBytes {
		return failure(ErrTooLarge, "the files have %s together; %s are possible in one commit", size(total), size(r.cache.opts.MaxCommitBytes))
	}
	for i := range c.Deletes {
		if err := clean(&c.Deletes[i]); err != nil {
			return err
		}
	}
	return nil
}

// paths are all paths that a change touches.
func (c *Change) paths() []string {
	list := slices.Clone(c.Deletes)
	for _, p := range c.Puts {
		list = append(list, p.Path)
	}
	return list
}

// Write makes one commit on the server and gives it. If the branch moved meanwhile it is made again on top,
// unless somebody changed the same files: that is ErrConflict. If the files are already what they are to be,
// no commit is made, and the branch's last one is given.
func (r *Repository) Write(ctx context.Context, c Change) (*object.Commit, error) {
	if err := r.check(&c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cache.opts.Timeout)
	defer cancel()
	weight := int64(1 << 20)
	for _, p := range c.Puts {
		weight += int64(len(p.Content))
	}
	weight = min(weight, writing)
	done, err := r.turn(ctx)
	if err != nil {
		return nil, r.explain(err)
	}
	defer done()
	if err := r.cache.writing.Acquire(ctx, weight); err != nil {
		return nil, r.explain(err)
	}
	defer r.cache.writing.Release(weight)
	w := &writer{Repository: r, change: c}
	for i := range maxAttempts {
		commit, again, err := w.attempt(ctx)
		if !again {
			return commit, err
		}
		if err := pause(ctx, min(20*time.Millisecond<<min(i, 10), maxPause)); err != nil {
			return nil, r.explain(err)
		}
	}
	return nil, failure(ErrConflict, "the branch %s moves too quickly: %d commits were made while this one was sent; try again", c.Branch, maxAttempts)
}

// pause waits a random time.
func pause(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // G404: nobody gains by guessing it
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // explain is called on it
	}
}

// writer makes one commit, in several attempts.
type writer struct {
	*Repository
	change Change
	// seen is what the author saw at the paths of the change.
	seen map[string]plumbing.Hash
}

// attempt makes the commit on top of the branch as it is now. again says that the branch has moved.
func (w *writer) attempt(ctx context.Context) (_ *object.Commit, again bool, err error) {
	conversation, err := w.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	defer conversation.close()
	made, err := w.build(ctx, conversation)
	if err != nil || made.unchanged {
		return made.commit, false, err
	}
	again, err = w.push(ctx, made.update)
	if err != nil || again {
		return nil, again, err
	}
	return made.commit, false, nil
}

// made is a commit that the server does not have yet.
type made struct {
	commit    *object.Commit
	unchanged bool
	update    update
}

// update is what is sent to the server.
type update struct {
	packp.Command
	pack []byte
}

// build makes the commit's objects.
func (w *writer) build(ctx context.Context, conversation *remote) (m made, err error) {
	h, ok := conversation.branch(w.change.Branch)
	if !ok {
		if len(conversation.branches()) > 0 {
			return m, failure(ErrNotFound, "the repository has no branch %s", w.change.Branch)
		}
		return w.commit(nil, nil)
	}
	if err := w.look(ctx, conversation, h); err != nil {
		return m, err
	}
	err = w.see(ctx, conversation, layerTips, []plumbing.Hash{h.commit}, func(db *database) error {
		head, err := commitOf(db, h.commit)
		if err != nil {
			return err
		}
		if err := w.compare(ctx, db, head); err != nil {
			return err
		}
		m, err = w.commit(db, head)
		return err
	})
	return m, err
}

// look reads what the author saw, if that is not what the branch has now.
func (w *writer) look(ctx context.Context, conversation *remote, h head) error {
	if w.seen != nil || w.change.Base == "" || w.change.Base == h.commit.String() {
		return nil
	}
	hash := plumbing.NewHash(w.change.Base)
	l, commits := conversation.holding(hash)
	return w.see(ctx, conversation, l, commits, func(db *database) error {
		c, err := commitOf(db, hash)
		if err != nil {
			return err
		}
		w.seen, err = entriesAt(ctx, db, c, w.change.paths())
		return err
	})
}

// compare fails if somebody changed what the author saw.
func (w *writer) compare(ctx context.Context, db *database, head *object.Commit) error {
	now, err := entriesAt(ctx, db, head, w.change.paths())
	if err != nil {
		return err
	}
	if w.seen == nil {
		w.seen = now
	}
	for _, name := range w.change.paths() {
		if w.seen[name] != now[name] {
			return failure(ErrConflict, "%s was changed on the branch %s meanwhile; read it again, make your change and send it again", name, w.change.Branch)
		}
	}
	return nil
}

// entriesAt gives the hashes of what is at paths; zero where nothing is.
func entriesAt(ctx context.Context, db *database, c *object.Commit, paths []string) (map[string]plumbing.Hash, error) {
	found := map[string]plumbing.Hash{}
	for _, name := range paths {
		if err := ctx.Err(); err != nil {
			return nil, &Error{kind: ErrUnavailable, cause: err, Message: "the repository could not be looked through in time"}
		}
		at := hashes{db: db, name: name, known: map[plumbing.Hash]plumbing.Hash{}}
		hash, err := at.of(c)
		if err != nil {
			return nil, err
		}
		found[name] = hash
	}
	return found, nil
}

// commit makes the objects of the commit on top of head, which is nil in an empty repository.
func (w *writer) commit(db *database, head *object.Commit) (m made, err error) {
	b := &builder{base: db, out: memory.NewStorage(), overwrite: w.change.Overwrite}
	tree := plumbing.ZeroHash
	if head != nil {
		tree = head.TreeHash
	}
	root, err := b.build(tree, &w.change)
	if err != nil {
		return m, err
	}
	if head != nil && root == head.TreeHash {
		return made{commit: head, unchanged: true}, nil
	}
	author := w.change.Author.signature(w.cache.opts.Now())
	c := &object.Commit{Author: author, Committer: author, Message: message(w.change.Message, author), TreeHash: root}
	m.update.Command = packp.Command{Name: plumbing.NewBranchReferenceName(w.change.Branch)}
	if head != nil {
		c.ParentHashes = []plumbing.Hash{head.Hash}
		m.update.Old = head.Hash
	}
	if c.Hash, err = b.put(c); err != nil {
		return m, err
	}
	m.commit, m.update.New = c, c.Hash
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, b.out, false).Encode(b.hashes, 0); err != nil {
		return m, fmt.Errorf("make pack: %w", err)
	}
	m.update.pack = pack.Bytes()
	return m, nil
}

// message adds who signs it off, as servers that want that can check.
func message(text string, author object.Signature) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "")
	signed := "Signed-off-by: " + author.Name
	if author.Email != "" {
		signed += " <" + author.Email + ">"
	}
	return strings.TrimRight(text, "\n ") + "\n\n" + signed + "\n"
}

// push sends an update. again says that the branch is no longer where the commit was made.
func (r *Repository) push(ctx context.Context, u update) (again bool, err error) {
	session, closes, err := r.receive(ctx)
	if err != nil {
		return false, r.explain(err)
	}
	defer func() {
		_ = session.Close()
		for _, f := range closes {
			f()
		}
	}()
	adv, err := session.AdvertisedReferencesContext(ctx)
	switch {
	case err == nil, errors.Is(err, transport.ErrEmptyRemoteRepository):
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return false, r.mayNotWrite() // it was good enough for reading
	default:
		return false, r.explain(inTime(ctx, err))
	}
	caps := capability.NewList()
	if adv != nil {
		caps = adv.Capabilities
		if adv.References[string(u.Name)] != u.Old {
			return true, nil
		}
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(caps)
	command := u.Command
	req.Commands = []*packp.Command{&command}
	req.Packfile = io.NopCloser(bytes.NewReader(u.pack))
	report, err := session.ReceivePack(ctx, req)
	if err == nil {
		return false, nil
	}
	return r.settle(ctx, u, report, err)
}

func (r *Repository) mayNotWrite() error {
	if !r.target.Credential.given() {
		return failure(ErrRefused, "%s is not written to without a credential: name a Secret in spec.secret", r.address)
	}
	return failure(ErrRefused, "the credential may not write to %s", r.address)
}

// settle finds out what became of an update whose sending failed: it may be there all the same.
func (r *Repository) settle(ctx context.Context, u update, report *packp.ReportStatus, failed error) (again bool, err error) {
	if ctx.Err() != nil {
		return false, r.explain(ctx.Err())
	}
	conversation, err := r.connect(ctx)
	if err != nil {
		return false, errors.Join(r.explain(failed), err)
	}
	defer conversation.close()
	h, _ := conversation.find(u.Name)
	switch {
	case h.commit == u.New:
		return false, nil
	case h.commit != u.Old, report != nil && taken(statusOf(report)):
		return true, nil
	case report != nil:
		return false, failure(ErrRefused, "the server refuses the change of the branch %s: %s", u.Name.Short(), r.target.Credential.hide(oneLine(statusOf(report))))
	case errors.Is(failed, transport.ErrAuthorizationFailed), errors.Is(failed, transport.ErrAuthenticationRequired):
		return false, r.mayNotWrite()
	}
	return false, r.explain(failed)
}

// taken tells if a server said that somebody else is changing the branch in this moment.
func taken(status string) bool {
	return strings.Contains(status, "lock") || strings.Contains(status, "failed to update ref")
}

// statusOf is what a server said.
func statusOf(report *packp.ReportStatus) string {
	for _, s := range report.CommandStatuses {
		if s.Error() != nil {
			return s.Status
		}
	}
	return report.UnpackStatus
}

// CreateBranch makes a branch where another branch, a tag or a commit is; "" is the default branch. One that
// exists is given as it is.
func (r *Repository) CreateBranch(ctx context.Context, name, from string) (b *Branch, created bool, err error) {
	ref, err := checkBranch(name)
	if err != nil {
		return nil, false, err
	}
	err = r.converse(ctx, func(ctx context.Context, conversation *remote) error {
		if _, exists := conversation.find(ref); exists {
			return nil
		}
		hash, err := r.resolve(ctx, conversation, from)
		if err != nil {
			return err
		}
		var pack bytes.Buffer
		if _, err := packfile.NewEncoder(&pack, memory.NewStorage(), false).Encode(nil, 0); err != nil {
			return fmt.Errorf("make pack: %w", err)
		}
		again, err := r.push(ctx, update{Command: packp.Command{Name: ref, New: hash}, pack: pack.Bytes()})
		// Whoever made it meanwhile made it: it exists, which is what was asked for.
		created = err == nil && !again
		return err
	})
	if err != nil {
		return nil, false, err
	}
	b, err = r.Branch(ctx, name)
	return b, created, err
}

// resolve finds the commit of a branch, tag or commit.
func (r *Repository) resolve(ctx context.Context, conversation *remote, from string) (plumbing.Hash, error) {
	if from == "" {
		from = conversation.main
	}
	for _, ref := range []plumbing.ReferenceName{plumbing.NewBranchReferenceName(from), plumbing.NewTagReferenceName(from)} {
		if h, ok := conversation.find(ref); ok {
			return h.commit, nil
		}
	}
	if plumbing.IsHash(from) {
		hash := plumbing.NewHash(from)
		l, commits := conversation.holding(hash)
		if len(commits) > 0 {
			return hash, r.see(ctx, conversation, l, commits, func(db *database) error {
				_, err := commitOf(db, hash)
				return err
			})
		}
	}
	return plumbing.ZeroHash, failure(ErrNotFound, "the repository has no branch, tag or commit %s", oneLine(from))
}

// plain takes out of a name what separates the fields of a commit.
func plain(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '<' || r == '>' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?")))
}
