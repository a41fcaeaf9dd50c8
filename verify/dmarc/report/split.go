package report

import (
	"fmt"
	"strconv"
)

// DefaultMaxSize is how many octets a mail has at most if nothing else is said. It is below the limit of a Postfix that
// nobody has configured (message_size_limit, 10240000).
const DefaultMaxSize = 10_000_000

// mailOverhead is what a mail has besides its attachment, at most: names and texts of the greatest length, and a signature.
const mailOverhead = 16 << 10

// Split returns the reports in whose place r is sent if the mail with it would have more than maxSize octets, 0 for
// DefaultMaxSize: as few as halving makes them, about the same period, with parts of the records. Each has a Report-ID and so
// a file name of its own: that of r with "p1", "p2" and so on behind it. A report that is not too large is returned as it is.
//
// RFC 9989 knows no limits of the addresses for reports any more, and RFC 9990 Section 2.5.2 leaves open what becomes of a
// report that is too large for a mail. Nothing is left out, because a consumer adds up the reports of a day, but cannot
// know of what is missing. The same report is always split in the same way. The error says that one record alone is too
// large, or what in the report the schema has no place for.
func Split(r Report, maxSize int) ([]Report, error) {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	r.Records = merge(r.Records)
	parts, err := halve(r, maxSize)
	if err != nil || len(parts) == 1 {
		return parts, err
	}
	for i := range parts {
		parts[i].Metadata.ID = r.Metadata.ID + "p" + strconv.Itoa(i+1)
	}
	return parts, nil
}

// halve splits a report until each part is small enough.
func halve(r Report, maxSize int) ([]Report, error) {
	document, err := r.Compress()
	if err != nil {
		return nil, err
	}
	size := mailOverhead + (len(document)+base64Line-1)/base64Line*78
	if size <= maxSize {
		return []Report{r}, nil
	}
	n := len(r.Records) / 2
	if n == 0 {
		return nil, fmt.Errorf("report: a mail of %d octets for one record, more than %d", size, maxSize)
	}
	first, second := r, r
	first.Records, second.Records = r.Records[:n:n], r.Records[n:]
	out, err := halve(first, maxSize)
	if err != nil {
		return nil, err
	}
	rest, err := halve(second, maxSize)
	if err != nil {
		return nil, err
	}
	return append(out, rest...), nil
}
