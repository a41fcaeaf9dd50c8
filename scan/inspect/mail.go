package inspect

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
	"assay/scan/reading"
	"assay/verify/message"
)

// mail reads mails, mailboxes, MHTML, TNEF, and the files that are encoded between the lines of a text.
type mail struct{}

// isMail reports whether a file is a whole mail.
func isMail(f *container.File) bool {
	return f.Type == "message/rfc822" || f.Type == "application/x-mimearchive"
}

// Reads implements container.Reader.
func (mail) Reads(f *container.File) bool {
	if isMail(f) || f.Type == "application/vnd.ms-tnef" {
		return true
	}
	return isEntity(f) || holdsEncoded(f)
}

// holdsEncoded reports whether a text has lines at which an encoded file may begin.
func holdsEncoded(f *container.File) bool {
	if !strings.HasPrefix(f.Type, "text/") {
		return false
	}
	for _, mark := range []string{"begin", "BEGIN", "Begin", "=ybegin ", "(This file must be converted with BinHex"} {
		if bytes.HasPrefix(f.Content, []byte(mark)) || bytes.Contains(f.Content, []byte("\n"+mark)) {
			return true
		}
	}
	return hasBase64Run(f.Content)
}

// hasBase64Run reports whether a line of a text looks like base64. Words are shorter.
func hasBase64Run(text []byte) bool {
	const shortest = 40
	run := 0
	for _, c := range text {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/':
			if run++; run >= shortest {
				return true
			}
		default:
			run = 0
		}
	}
	return false
}

// Read implements container.Reader.
func (mail) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	if err := f.Budget.Spend(0); err != nil {
		return container.Limited(err)
	}
	entity, whole := isEntity(f), isMail(f)
	if mails := mailbox(f.Content); len(mails) > 1 && (entity || whole) {
		return separate(f, mails, yield)
	}
	if !entity {
		return readMail(f, whole, yield)
	}
	v := readMail(f, true, yield)
	if opensAsMail(f.Extension) {
		v.Type = "message/rfc822"
	} else if plain := readMail(f, false, yield); plain.State != scan.Inspected { // the file may as well be a text
		v = plain
	}
	return v
}

// readMail reads a file as a mail, or as the content of one.
func readMail(f *container.File, whole bool, yield func(container.Member) bool) container.Verdict {
	text := bytes.TrimLeft(bytes.TrimPrefix(f.Content, []byte(byteOrderMark)), "\r\n")
	if !whole {
		text = wrapped(f)
	}
	m, err := message.Read(bytes.NewReader(text), message.Envelope{}, memoryLimits(len(text)))
	if err != nil {
		return container.Verdict{State: scan.Uninspectable, Method: "cannot be read as a mail: " + err.Error()}
	}
	defer m.Close()
	v := container.Verdict{State: scan.Inspected}
	if whole {
		v = leaves(f, m, yield)
	}
	if over := otherReadings(f, m, yield); over != "" && v.State == scan.Inspected {
		v = container.Verdict{State: scan.Uninspectable, Method: "a limit of readings: " + over}
	}
	return v
}

// memoryLimits keep a text, which is in memory already, out of files.
func memoryLimits(octets int) message.Limits {
	return message.Limits{Memory: 2*octets + 1, BodyOctets: 2*int64(octets) + 1}
}

// wrapped makes a mail of a file, so that it is read like an attachment.
func wrapped(f *container.File) []byte {
	mediaType := f.Type
	if !strings.HasPrefix(mediaType, "text/") && mediaType != "application/vnd.ms-tnef" {
		mediaType = attach.Unknown
	}
	head := "MIME-Version: 1.0\r\nContent-Type: " + mediaType + "\r\nContent-Transfer-Encoding: binary\r\n\r\n"
	return append([]byte(head), f.Content...)
}

// leaves yields the parts of a mail.
func leaves(f *container.File, m *message.Message, yield func(container.Member) bool) container.Verdict {
	for p := range m.Root.Leaves() {
		if err := f.Budget.Member(); err != nil {
			return container.Limited(err)
		}
		content, err := f.Budget.ReadAll(m.Content(p), p.End-p.BodyOffset)
		member := container.Member{Name: p.Filename, Declared: p.MediaType, Content: content}
		if err != nil {
			member.Content, member.State, member.Method = nil, scan.Uninspectable, err.Error()
		}
		if member.Name == "" {
			member.Name = p.Section
		}
		if !yield(member) {
			break
		}
	}
	if m.Root.MediaType == "application/x-mimearchive" || !isMail(f) && !opensAsMail(f.Extension) {
		return container.Verdict{State: scan.Inspected}
	}
	return ambiguity(m)
}

// ambiguity is the verdict on a mail that was read: programs may see others in it.
func ambiguity(m *message.Message) container.Verdict {
	v := container.Verdict{State: scan.Inspected}
	for _, d := range m.Defects {
		if d.Tier() == message.Ambiguous {
			v.Signs = append(v.Signs, container.Sign{Trait: scan.Ambiguous, Detail: "mail: " + string(d.Code)})
			break
		}
	}
	return v
}

// otherReadings yields what other programs would find in a mail. It returns the limit that keeps some of that out of reach.
func otherReadings(f *container.File, m *message.Message, yield func(container.Member) bool) string {
	limits := reading.Limits{PartOctets: f.Budget.Limits.Member, Octets: f.Budget.Limits.Octets, Depth: f.Budget.Limits.Depth}
	for r := range reading.Readings(m, limits) {
		if r.How == reading.OutOfReach {
			return r.Name
		}
		if r.Known || isQuotation(f, r) {
			continue
		}
		if f.Budget.Member() != nil || f.Budget.Spend(int64(len(r.Content))) != nil {
			return "budget"
		}
		name := r.Name
		if name == "" || r.Doubtful() { // the name is one that the text quotes
			name = string(r.How)
		}
		if !yield(container.Member{Name: name, Content: r.Content, Signs: damaged(r)}) {
			return ""
		}
	}
	return ""
}

// isQuotation reports whether a reading is only of a text that quotes the fields of a mail. Plain text that is encoded there is
// looked at nevertheless, since it can be a file to virus scanners.
func isQuotation(f *container.File, r reading.Reading) bool {
	switch {
	case r.How != reading.Embedded && r.How != reading.Quoted:
		return false
	case !isMail(f):
		return true
	}
	plain := strings.HasPrefix(attach.Sniff(r.Content[:min(len(r.Content), attach.Window)]), "text/plain")
	return r.Doubtful() && (r.How == reading.Quoted || !plain)
}

// damaged is the sign of a container that ended early.
func damaged(r reading.Reading) []container.Sign {
	if !r.Damaged {
		return nil
	}
	return []container.Sign{{Trait: scan.Damaged, Detail: string(r.How)}}
}
