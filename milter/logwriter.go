package milter

import (
	"bytes"
	"io"
	"log/slog"
)

// LogWriter returns a writer for the standard log package, where go-milter logs: log.SetOutput(LogWriter(l)), with
// log.SetFlags(0). Panics outside of a message become errors, ends of sessions debug messages, because the session logs
// their cause itself, and what other libraries say becomes warnings.
func LogWriter(l *slog.Logger) io.Writer { return logWriter{l} }

type logWriter struct{ log *slog.Logger }

// Write implements io.Writer. The standard log package calls it once per entry.
func (w logWriter) Write(p []byte) (int, error) {
	text := string(bytes.TrimRight(p, "\n"))
	if bytes.HasPrefix(p, []byte("panic handling command")) {
		w.log.Error("milter session failed", "reason", text)
	} else if !libraryNoise(p) {
		w.log.Warn("message of a library", "text", text)
	} else {
		w.log.Debug("milter session", "reason", text)
	}
	return len(p), nil
}

// libraryNoise reports whether go-milter says again what the session has said.
func libraryNoise(p []byte) bool {
	for _, prefix := range []string{"Error reading milter command", "Error performing milter command",
		"Error writing packet", "Unrecognized command code"} {
		if bytes.HasPrefix(p, []byte(prefix)) {
			return true
		}
	}
	return false
}
