package ruletest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"assay/scan"
	"assay/verify"
	"assay/verify/message"
)

// MessageOptions say how stored messages are read and looked at.
type MessageOptions struct {
	Verify   verify.Options // with the Resolver that is asked; what the DNS says today need not be what it said then
	Scanners []scan.Scanner
	Limits   message.Limits
	Now      time.Time // when messages arrived that do not say it themselves
}

// Messages reads stored messages one after the other, verifies and scans them, and yields each with the path of its file. A
// path is a file, a Maildir (its subfolders too), or a directory, of which every file that ends in .eml is read, also below
// subdirectories. The order is that of the paths, then that of the names. A message that cannot be read, and a path
// without any, is yielded with an error. One message is open at a time.
//
// The session a message came with is not stored, so it is recalled from the fields that the last MTAs have added, see
// recall.
func Messages(ctx context.Context, paths []string, opt MessageOptions) iter.Seq2[string, Case] {
	return func(yield func(string, Case) bool) {
		r := &mailReader{ctx: ctx, opt: opt, verifier: verify.New(opt.Verify), yield: yield}
		for _, path := range paths {
			if !r.path(path) {
				return
			}
		}
	}
}

// A mailReader yields messages. Its methods report whether to go on.
type mailReader struct {
	ctx      context.Context
	opt      MessageOptions
	verifier *verify.Verifier
	yield    func(string, Case) bool
}

// path reads what a path of the caller names.
func (r *mailReader) path(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return r.yield(path, Case{Err: err})
	case !info.IsDir():
		return r.file(path)
	}
	found := 0
	if !r.dir(path, &found, 0) {
		return false
	}
	if found == 0 {
		return r.yield(path, Case{Err: errors.New("there are no messages: it is no Maildir, and no file ends in .eml")})
	}
	return true
}

// maxLevels bounds how deep directories are searched.
const maxLevels = 32

// dir reads a directory. In cur and new of a Maildir every file is a message; tmp holds what is being delivered.
func (r *mailReader) dir(path string, found *int, level int) bool {
	if r.ctx.Err() != nil {
		return false
	}
	entries, err := os.ReadDir(path) // in the order of names
	if err != nil {
		*found++
		return r.yield(path, Case{Err: err})
	}
	maildir := isMaildir(entries)
	inMaildir := level < 0
	for _, e := range entries {
		full := filepath.Join(path, e.Name())
		ok := true
		switch {
		case e.IsDir() && maildir && (e.Name() == "cur" || e.Name() == "new"):
			ok = r.dir(full, found, -1)
		case e.IsDir() && (inMaildir || maildir && e.Name() == "tmp"):
		case e.IsDir() && level >= maxLevels:
			*found++
			ok = r.yield(full, Case{Err: fmt.Errorf("more than %d directories deep: not searched", maxLevels)})
		case e.IsDir():
			ok = r.dir(full, found, level+1)
		case inMaildir || strings.EqualFold(filepath.Ext(e.Name()), ".eml"):
			*found++
			ok = r.file(full)
		}
		if !ok {
			return false
		}
	}
	return true
}

// isMaildir reports whether a directory has what a Maildir has.
func isMaildir(entries []fs.DirEntry) bool {
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = e.IsDir()
	}
	return have["cur"] && have["new"]
}

// file reads one message.
func (r *mailReader) file(path string) bool {
	if r.ctx.Err() != nil {
		return false
	}
	m, err := r.open(path)
	if err != nil {
		return r.yield(path, Case{Err: err})
	}
	defer m.Close()
	return r.yield(path, Case{Input: inspect(r.ctx, r.verifier, r.opt.Scanners, m)})
}

// open reads a message and recalls its session. A file that is no regular one, such as a pipe, would never end. What lies
// beyond a limit was not read, so a decision about the rest would be one about another message.
func (r *mailReader) open(path string) (*message.Message, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := message.Read(f, message.Envelope{}, r.opt.Limits)
	if err != nil {
		return nil, err
	}
	if err := m.Exceeded(); err != nil {
		m.Close()
		return nil, err
	}
	m.Envelope = recall(m.Header, r.opt.Now)
	return m, nil
}
