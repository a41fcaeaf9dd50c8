// Package logline writes Assay's log: one line per record, and among them exactly one for each message, which begins with
// the MTA's queue id so that it sorts beside the MTA's own lines.
//
// Text from messages, peers and DNS reaches the log only through the quoting of this package. At the default privacy
// level no line holds an address of a person or of a host.
package logline

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"assay/cmd/internal/config"
)

// queueIDKey is the attribute that is moved to the beginning of a line.
const queueIDKey = "queue_id"

// maxValue bounds one value in octets before quoting, so that no message can fill the log.
const maxValue = 2048

// Options configure a logger.
type Options struct {
	Format config.Format
	Level  config.Level
	// NoTime leaves out the time, for a reader that adds its own, such as the systemd journal.
	NoTime bool
	// Journal is the socket of the systemd journal, which is given every record with its values as fields. What it does not
	// take is written as a line. Empty: lines only.
	Journal string
}

// New returns a logger that writes to w.
func New(w io.Writer, opt Options) *slog.Logger {
	level := slogLevel(opt.Level)
	if opt.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: replaceJSON(opt.NoTime)}))
	}
	out := &output{w: w}
	if opt.Journal != "" {
		out.journal = &journal{path: opt.Journal}
	}
	return slog.New(&handler{out: out, level: level, noTime: opt.NoTime || opt.Journal != ""})
}

// slogLevel returns the least level that is logged.
func slogLevel(l config.Level) slog.Level {
	switch l {
	case config.LevelDebug:
		return slog.LevelDebug
	case config.LevelWarn:
		return slog.LevelWarn
	case config.LevelError:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// replaceJSON writes levels in lower case, bounds values, names the line of a message, and leaves out the time if asked
// to.
func replaceJSON(noTime bool) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case len(groups) == 0 && a.Key == slog.TimeKey && noTime:
			return slog.Attr{}
		case len(groups) == 0 && a.Key == slog.MessageKey && a.Value.String() == "":
			return slog.String(a.Key, "message")
		case len(groups) == 0 && a.Key == slog.LevelKey:
			return slog.String(a.Key, strings.ToLower(a.Value.String()))
		case a.Value.Kind() == slog.KindString:
			return slog.String(a.Key, clip(a.Value.String()))
		}
		return a
	}
}

// A handler writes logfmt, as lines or into the journal.
type handler struct {
	out    *output
	level  slog.Level
	noTime bool
	attrs  []slog.Attr // of the logger, names already with their groups
	group  string      // prefix of names, with a final dot
}

// An output is shared by a handler and those derived from it.
type output struct {
	journal *journal // nil for none
	mu      sync.Mutex
	w       io.Writer
}

// write writes one record: to the journal, or as a line when there is none or it does not take the record.
func (o *output) write(level slog.Level, line []byte, pairs []pair) error {
	if o.journal != nil && o.journal.send(level, line, pairs) == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Write(append(line, '\n'))
	return err
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		derived.attrs = append(derived.attrs, a)
	}
	return &derived
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	derived := *h
	if name != "" {
		derived.group += name + "."
	}
	return &derived
}

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	pairs := h.pairs(r)
	id := ""
	var text []byte
	for _, p := range pairs {
		if p.key == queueIDKey {
			id = p.value
			continue
		}
		text = appendPair(text, p.key, p.value)
	}
	line := h.begin(r, id)
	if len(line) > 0 && len(text) > 0 {
		line = append(line, ' ')
	}
	return h.out.write(r.Level, append(line, text...), pairs)
}

// pairs returns all attributes of a record, those of the logger first.
func (h *handler) pairs(r slog.Record) []pair {
	all := make([]pair, 0, len(h.attrs)+r.NumAttrs())
	add := func(key string, v slog.Value) { all = append(all, pair{key, text(v)}) }
	for _, a := range h.attrs {
		each("", a, add)
	}
	r.Attrs(func(a slog.Attr) bool {
		each(h.group, a, add)
		return true
	})
	return all
}

// begin returns what stands before the attributes: time, queue id, level and message. The line of a message, which is
// info and has no message text, has neither of the last two.
func (h *handler) begin(r slog.Record, id string) []byte {
	var line []byte
	if !h.noTime {
		line = r.Time.UTC().AppendFormat(line, "2006-01-02T15:04:05.000Z")
	}
	if id != "" {
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, word(id)...)
		line = append(line, ':')
	}
	if r.Level != slog.LevelInfo || r.Message != "" {
		line = appendPair(line, slog.LevelKey, strings.ToLower(r.Level.String()))
	}
	if r.Message != "" {
		line = appendPair(line, slog.MessageKey, r.Message)
	}
	return line
}

// each calls add for an attribute, or for every attribute of a group.
func each(prefix string, a slog.Attr, add func(string, slog.Value)) {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key != "" {
			add(prefix+a.Key, v)
		}
		return
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range v.Group() {
		each(prefix, member, add)
	}
}

// text returns a value as it is written before quoting.
func text(v slog.Value) string {
	if v.Kind() == slog.KindTime {
		return v.Time().UTC().Format(time.RFC3339Nano)
	}
	return v.String()
}

// appendPair appends key=value, with a blank in front unless the line is empty.
func appendPair(line []byte, key, value string) []byte {
	if len(line) > 0 {
		line = append(line, ' ')
	}
	line = append(line, word(key)...)
	line = append(line, '=')
	return append(line, quote(value)...)
}

// word returns text with everything that could be mistaken for the syntax of a line replaced.
func word(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == '=' || r == '"' || r == ':' {
			return '_'
		}
		return r
	}, clip(text))
}

// quote returns a value as one word, in Go's quotes and ASCII if it is not one already.
func quote(value string) string {
	value = clip(value)
	plain := value != "" && !strings.ContainsFunc(value, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '=' || r == '"' || r == '\\'
	})
	if plain {
		return value
	}
	return strconv.QuoteToASCII(value)
}

// clip bounds a value.
func clip(value string) string {
	if len(value) > maxValue {
		return value[:maxValue] + "..."
	}
	return value
}
