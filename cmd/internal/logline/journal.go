package logline

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// JournalSocket is where systemd-journald takes records in its native protocol.
const JournalSocket = "/run/systemd/journal/socket"

// fieldPrefix is the beginning of our fields in the journal. The others, MESSAGE and PRIORITY, are those of systemd.journal-
// fields(7).
const fieldPrefix = "ASSAY_"

// maxField is the length of a field's name that journald takes.
const maxField = 64

// journalWait is how long journald may take for a record before it is written to standard error instead. Mail must not wait
// for a log.
const journalWait = time.Second

// A pair is one attribute of a record, not quoted.
type pair struct{ key, value string }

// A journal sends records to journald (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). It is safe for concurrent use.
type journal struct {
	path string
	mu   sync.Mutex
	conn *net.UnixConn // nil: not connected
}

// send sends one record. With an error nothing was sent. A record is one datagram: there is none above the size that the
// kernel takes, because values are bounded and few.
func (j *journal) send(level slog.Level, message []byte, pairs []pair) error {
	record := appendField(nil, "MESSAGE", string(message))
	record = appendField(record, "PRIORITY", strconv.Itoa(priority(level)))
	record = appendField(record, "SYSLOG_IDENTIFIER", "assay")
	for _, p := range pairs {
		record = appendField(record, fieldName(p.key), clip(p.value))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.conn != nil {
		if err := j.write(record); err == nil {
			return nil
		}
		j.close() // journald was started again: its socket is another one
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.path, Net: "unixgram"})
	if err != nil {
		return err
	}
	j.conn = conn
	if err := j.write(record); err != nil {
		j.close()
		return err
	}
	return nil
}

// write writes one datagram.
func (j *journal) write(record []byte) error {
	if err := j.conn.SetWriteDeadline(time.Now().Add(journalWait)); err != nil {
		return err
	}
	_, err := j.conn.Write(record)
	return err
}

// close ends the connection.
func (j *journal) close() {
	j.conn.Close()
	j.conn = nil
}

// appendField appends a field. A value with a line end is written with its length in front, so that what is in it can never
// be taken for another field.
func appendField(record []byte, name, value string) []byte {
	record = append(record, name...)
	if !strings.Contains(value, "\n") {
		record = append(record, '=')
		record = append(record, value...)
		return append(record, '\n')
	}
	record = append(record, '\n')
	record = binary.LittleEndian.AppendUint64(record, uint64(len(value)))
	record = append(record, value...)
	return append(record, '\n')
}

// fieldName returns the name of a field for an attribute: upper-case letters, digits and underscores.
func fieldName(key string) string {
	name := []byte(fieldPrefix + strings.ToUpper(key))
	for i, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			name[i] = '_'
		}
	}
	return string(bytes.TrimRight(name[:min(len(name), maxField)], "_"))
}

// priority returns the priority of syslog(3) for a level.
func priority(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}
