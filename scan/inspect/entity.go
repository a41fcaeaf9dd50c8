package inspect

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// byteOrderMark is what some programs write in front of UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// opensAsMail reports whether a mail program opens files with an extension.
func opensAsMail(extension string) bool {
	switch extension {
	case "eml", "mht", "mhtml", "nws", "mbox", "mbx":
		return true
	}
	return false
}

// isEntity reports whether a file that does not begin as mails do has to be read like one all the same: by its name, because
// it is a mailbox, or because it is a MIME entity, as signatures and encryption enclose them (RFC 8551 Section 3.1). However
// many fields stand in front, what is encoded behind them is decoded by whoever opens it.
func isEntity(f *container.File) bool {
	if isMail(f) || f.Type != attach.Unknown && !strings.HasPrefix(f.Type, "text/") {
		return false
	}
	fields, ofMIME := header(f.Content)
	return ofMIME || fields > 0 && (opensAsMail(f.Extension) || len(mailbox(f.Content)) > 0)
}

// header counts the fields that a text begins with, and says whether there is one of MIME. Lines end in LF, CRLF or CR.
func header(text []byte) (fields int, ofMIME bool) {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte(byteOrderMark)), "\r\n")
	if isSeparator(text) {
		text = text[lineLength(text):]
	}
	for len(text) > 0 {
		n := lineLength(text)
		line := bytes.TrimRight(text[:n], "\r\n")
		if len(line) == 0 {
			break
		}
		text = text[n:]
		if line[0] == ' ' || line[0] == '\t' {
			if fields == 0 {
				break
			}
			continue
		}
		name, _, found := bytes.Cut(line[:min(len(line), longestName)], []byte(":"))
		name = bytes.Trim(name, " \t\x00")
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			break
		}
		fields++
		switch strings.ToLower(string(name)) {
		case "content-type", "content-transfer-encoding", "mime-version":
			ofMIME = true
		}
	}
	return fields, ofMIME
}

// longestName bounds the name of a field.
const longestName = 100

// lineLength is how many octets the first line of a text has with its end.
func lineLength(text []byte) int {
	n := bytes.IndexAny(text, "\r\n")
	switch {
	case n < 0:
		return len(text)
	case text[n] == '\r' && n+1 < len(text) && text[n+1] == '\n':
		return n + 2
	}
	return n + 1
}

// isSeparator reports whether a text begins with the line that separates the mails of a mailbox (RFC 4155 Appendix A).
func isSeparator(text []byte) bool { return bytes.HasPrefix(text, []byte("From ")) }

// maxMails bounds the mails of a mailbox.
const maxMails = 10000

// mailbox returns the mails in a text that begins with a separator, nil for any other text. A separator stands at the start of
// a line, and a field follows.
func mailbox(text []byte) [][]byte {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte(byteOrderMark)), "\r\n")
	if !isSeparator(text) {
		return nil
	}
	var mails [][]byte
	for len(mails) < maxMails {
		text = text[lineLength(text):]
		end := nextSeparator(text)
		mails = append(mails, text[:end])
		if text = text[end:]; len(text) == 0 {
			break
		}
	}
	return mails
}

// nextSeparator is where the next mail of a mailbox begins, the length of the text if there is none.
func nextSeparator(text []byte) int {
	for at := 0; at < len(text); {
		n := bytes.Index(text[at:], []byte("\nFrom "))
		if n < 0 {
			break
		}
		at += n + 1
		rest := text[at+lineLength(text[at:]):]
		name, _, found := bytes.Cut(rest[:min(len(rest), longestName)], []byte(":"))
		if found && len(name) > 0 && !bytes.ContainsAny(name, " \t\r\n") {
			return at
		}
	}
	return len(text)
}

// separate yields the mails of a mailbox.
func separate(f *container.File, mails [][]byte, yield func(container.Member) bool) container.Verdict {
	for _, text := range mails {
		if err := f.Budget.Member(); err != nil {
			return container.Limited(err)
		}
		if err := f.Budget.Spend(int64(len(text))); err != nil {
			return container.Limited(err)
		}
		if !yield(container.Member{Name: "message.eml", Declared: "message/rfc822", Content: text}) {
			break
		}
	}
	v := container.Verdict{State: scan.Inspected, Type: "application/mbox"}
	if len(mails) >= maxMails {
		v.State, v.Method = scan.Uninspectable, "a mailbox with too many mails"
	}
	return v
}
